// Tiles of 16 packed queries: slices of one row, and of a few where groups are small. The four warps of a block compute
// the same scores and a quarter of the result's columns each, which needs no exchange between them.
//
// Bound by bandwidth: 4 D bytes a key and KV head, read once for the group (2 D of keys, 2 D of values). At D = 128 a
// processor gets a step of 64 keys, 32 KiB, in about 1 us (4.3 TB/s over 132), in which the tensor cores have 320 of
// some 1000 products to do and shared memory 80 of some 220 KiB to deliver: the scores' fourfold work stays hidden.
// Source: flash-decoding (Dao et al. 2023); a work list in device memory as in FlashInfer (Ye et al. 2025,
// section 3.3).
#include "cuda/kernels/attention_kernel.h"

namespace gattling::cuda {

void attention_decode(const AttentionArgs& args, Stream& stream) {
  launch_attention_tiles<AttentionTile::Decode>(args, stream);
}

}  // namespace gattling::cuda
