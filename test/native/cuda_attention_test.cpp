// RoPE with the append and attention over the paged cache: against double, and bit for bit against themselves.
#include "backend/error.h"
#include "cuda_attention_rig.h"

using namespace rig;

namespace {

// Decode rows and chunks in the same steps, across block borders.
void run_mixed(Rig& rig) {
  rig.step({{0, 0, 15}, {1, 0, 1}, {2, 0, 33}});
  rig.step({{0, 15, 1}, {1, 1, 38}, {2, 33, 1}});
  rig.step({{2, 34, 2}, {0, 16, 1}, {1, 39, 31}});
  rig.step({{0, 17, 53}, {2, 36, 34}});
}

void check_mixed(const Shape& shape) {
  Rig rig(shape);
  run_mixed(rig);
  for (int sequence = 0; sequence < kSequences; ++sequence) {
    const double error = rig.error(sequence);
    if (!(error < 3 * shape.rounding()))
      std::printf("  %d/%d heads of %d, blocks of %d, window %d: error %g\n", shape.n_heads, shape.n_kv_heads,
                  shape.head_dim, shape.block_size, shape.window, error);
    CHECK(error < 3 * shape.rounding());
  }
}

bool same(const Rig& a, const Rig& b, int from, const Shape& shape) {
  for (int sequence = 0; sequence < kSequences; ++sequence)
    if (!std::equal(a.outputs(sequence).begin() + from * shape.out_columns(), a.outputs(sequence).end(),
                    b.outputs(sequence).begin() + from * shape.out_columns()))
      return false;
  return true;
}

// Every sequence's positions [0, n), without attention.
void append_history(Rig& rig, int n) {
  rig.append({{0, 0, n}, {1, 0, n}, {2, 0, n}});
}

bool has_splits(const Rig& rig) {
  const int n = rig.work().n_items[0] + rig.work().n_items[1];
  return std::any_of(rig.items(), rig.items() + n, [](const AttentionItem& item) { return item.n_splits > 1; });
}

}  // namespace

TEST(head_sizes) {
  for (int head_dim : {8, 16, 24, 64, 80, 128, 256}) check_mixed({2, 1, head_dim});
}

TEST(groups) {
  for (int group : {1, 3, 8, 16, 64}) check_mixed({2 * group, 2, 8});
}

TEST(windows) {
  for (int window : {1, 5, 16, 17, 40, 69}) check_mixed({6, 2, 16, 16, window});
}

TEST(block_sizes) {
  for (int block_size : {32, 48, 128}) check_mixed({4, 2, 24, block_size, block_size == 48 ? 36 : 0});
}

TEST(types_of_activations_and_cache) {
  for (Half half : {Half::BF16, Half::F16})
    for (Half cache : {Half::BF16, Half::F16})
      for (int head_dim : {24, 80}) check_mixed({4, 2, head_dim, 32, 0, half, cache});
}

TEST(long_histories_are_split) {
  for (const Shape& base : {Shape{4, 1, 64}, Shape{34, 2, 72, 48}, Shape{6, 2, 136, 32, 300, Half::F16, Half::F16}}) {
    Shape shape = base;
    shape.length = 620;
    shape.n_processors = 16;
    Rig rig(shape);
    append_history(rig, 600);
    rig.step({{0, 600, 20}, {1, 600, 1}, {2, 600, 3}});
    CHECK(has_splits(rig));
    rig.step({{1, 601, 19}});
    rig.step({{2, 603, 17}});
    for (int sequence = 0; sequence < kSequences; ++sequence) CHECK(rig.error(sequence, 600) < 3 * shape.rounding());
  }
}

TEST(deterministic_bits_do_not_depend_on_chunks_or_neighbours) {
  for (Shape shape : {Shape{8, 2, 24}, Shape{3, 3, 64, 32, 20}, Shape{16, 1, 8, 16, 0, Half::BF16, Half::F16},
                      Shape{40, 2, 72, 48}, Shape{2, 1, 136}}) {
    shape.deterministic = true;
    Rig whole(shape);
    for (int sequence = 0; sequence < kSequences; ++sequence) whole.step({{sequence, 0, shape.length}});
    Rig mixed(shape);
    run_mixed(mixed);
    CHECK(same(mixed, whole, 0, shape));
    for (int chunk : {1, 9}) {
      Rig chunked(shape);
      chunked.map_blocks(chunk);
      chunked.all(chunk, {2, 0, 1});
      CHECK(same(chunked, whole, 0, shape));
    }
  }
}

TEST(deterministic_bits_of_long_histories) {
  for (Shape shape : {Shape{8, 4, 16}, Shape{20, 1, 40, 48, 290}, Shape{2, 2, 136, 32}}) {
    shape.deterministic = true;
    shape.length = 520;
    const int from = 509;
    Rig together(shape), alone(shape), chunked(shape);
    for (Rig* rig : {&together, &alone, &chunked}) append_history(*rig, from);
    together.all(1, {0, 1, 2}, from);
    for (int sequence : {2, 1, 0}) {
      alone.step({{sequence, from, 1}});
      CHECK(has_splits(alone));
      alone.step({{sequence, from + 1, shape.length - from - 1}});
    }
    chunked.all(5, {1, 2, 0}, from);
    CHECK(same(together, alone, from, shape));
    CHECK(same(together, chunked, from, shape));
    CHECK(together.error(1, from) < 3 * shape.rounding());
  }
}

TEST(what_a_former_owner_left_is_not_seen) {
  for (const Shape& shape : {Shape{4, 2, 24}, Shape{4, 2, 8, 32, 9, Half::F16, Half::F16}, Shape{40, 1, 136}}) {
    Rig clean(shape);
    clean.fill_cache(0);
    clean.all(35, {0, 1, 2});
    const uint16_t infinity = shape.cache == Half::BF16 ? 0x7f80 : 0x7c00, nan = 0xffff;
    for (uint16_t rubbish : {infinity, nan}) {
      Rig used(shape);
      used.fill_cache(rubbish);
      used.all(35, {0, 1, 2});
      CHECK(same(clean, used, 0, shape));
    }
  }
}

TEST(keys_before_the_window_are_not_read) {
  const Shape shape = {4, 2, 24, 16, 20};
  for (const std::vector<Part>& parts : {std::vector<Part>{{0, 60, 10}}, {{0, 69, 1}}}) {
    Rig whole(shape), windowed(shape);
    windowed.fill_cache(0xffff);
    for (Rig* rig : {&whole, &windowed}) {
      rig->append({{0, 0, 69}});
      if (rig == &windowed) rig->lose_blocks(2);  // positions [0, 32)
      rig->step(parts);
    }
    CHECK(same(whole, windowed, 0, shape));
    CHECK(std::isfinite(windowed.result(0, 69, 0)) && windowed.result(0, 69, 0) != 0);
  }
}

TEST(a_launch_is_replayed_for_another_step) {
  Shape shape = {4, 1, 64};
  shape.length = 300;
  Rig rig(shape);
  append_history(rig, 200);
  rig.plan({{0, 200, 1}, {1, 200, 1}});
  THROWS("no memory", rig.stream().capture([] { fail("no memory"); }));
  Graph graph = rig.stream().capture([&] { attention_decode(rig.args(AttentionTile::Decode), rig.stream()); });
  for (int position = 200; position < shape.length; position += 33) append_history(rig, position + 1);
  std::vector<Part> parts = {{2, 299, 1}, {1, 250, 1}, {0, 210, 1}};
  append_history(rig, 299);
  rig.append(parts);
  CHECK(rig.plan(parts).decode);
  for (int i = 0; i < 2; ++i) {
    rig.stream().launch(graph);
    rig.read_rows(parts);
    CHECK(rig.error(2, 299) < 3 * shape.rounding());
  }
}

TEST(rotation_at_far_positions) {
  Stream stream;
  const int d = 16, position = 130'003, block_size = 32, max_blocks = position / block_size + 1;
  const std::vector<float> inv_freq = {1.0f, 0.9f, 0.31f, 0.1f, 0.03f, 1e-2f, 1e-3f, 1e-4f};
  std::vector<uint16_t> qkv(2 * 64);
  reference::Matrix q, k;
  for (size_t i = 0; i < 48; ++i) qkv[i] = narrowed(value(i), Half::F16);
  for (size_t i = 0; i < 16; ++i) q.push_back(widened(qkv[i], Half::F16)), k.push_back(widened(qkv[16 + i], Half::F16));
  std::vector<int32_t> tables(static_cast<size_t>(max_blocks), -1);
  tables.back() = 1;
  Buffer qkv_buffer(qkv.size() * 2), inv_freq_buffer(d / 2 * 4), tables_buffer(tables.size() * 4), positions(8),
      slots(8);
  Buffer cache(2 * 2 * block_size * d * 2);
  upload(cache, std::vector<uint16_t>(cache.bytes() / 2, 0xffff), stream);
  upload(qkv_buffer, qkv, stream);
  upload(inv_freq_buffer, inv_freq, stream);
  upload(tables_buffer, tables, stream);
  upload(positions, std::vector<int32_t>{position, position}, stream);
  upload(slots, std::vector<int32_t>{0, -1}, stream);
  rope_append({qkv_buffer.as<void>(),
               64,
               Half::F16,
               1,
               {nullptr, positions.as<int32_t>(), slots.as<int32_t>()},
               inv_freq_buffer.as<float>(),
               {cache.as<void>(), Half::BF16, 1, block_size, d, tables_buffer.as<int32_t>(), max_blocks},
               2},
              stream);
  const std::vector<uint16_t> after = download<uint16_t>(qkv_buffer, stream), cells = download<uint16_t>(cache, stream);
  const reference::Matrix turned_q = reference::rope(q, inv_freq, position),
                          turned_k = reference::rope(k, inv_freq, position);
  const size_t key = static_cast<size_t>(2 * block_size + position % block_size) * d, to_value = block_size * d;
  for (size_t i = 0; i < d; ++i) {
    CHECK(std::fabs(widened(after[i], Half::F16) - turned_q[i]) < 0x1p-11 * 1.5);
    CHECK(std::fabs(widened(cells[key + i], Half::BF16) - turned_k[i]) < 0x1p-8 * 1.5);
    CHECK(cells[key + to_value + i] == narrowed(widened(qkv[32 + i], Half::F16), Half::BF16));
  }
  for (size_t i = d; i < after.size(); ++i) CHECK(after[i] == qkv[i]);
  size_t n_written = 0;
  for (uint16_t cell : cells) n_written += cell != 0xffff;
  CHECK(n_written == 2 * d);
}
