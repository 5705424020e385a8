// Tiles of 128 packed queries (64 at D = 64 and 256), 16 a warp: slices of several rows, and groups of more than 16.
//
// Bound by the tensor cores: 4 D operations a query and key, half of those of the last step masked. Shared memory is
// close behind: a warp reads 36 KiB for the 128 products of a step at D = 128.
// Source: FlashAttention-2 (Dao 2023).
#include "cuda/kernels/attention_kernel.h"

namespace gattling::cuda {

void attention_prefill(const AttentionArgs& args, Stream& stream) {
  launch_attention_tiles<AttentionTile::Prefill>(args, stream);
}

}  // namespace gattling::cuda
