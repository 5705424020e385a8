#include "cuda_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "backend/error.h"
#include "backend/half.h"
#include "cuda_fill.h"
#include "reader.h"

namespace bench {
namespace {

using namespace gattling::cuda;

constexpr double kWarmSeconds = 0.3;    // until clocks have settled
constexpr double kGraphSeconds = 8e-3;  // long beside what it takes to launch a graph
constexpr int kReplays = 15;

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= 0x20) out += c;
  }
  return out + "\"";
}

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

}  // namespace

Bench::Bench(bool tiny) : tiny(tiny), device(open_device()), facts(device_facts()) {}

int Bench::n_sets(size_t bytes) const {
  const size_t rotation = 4 * facts.l2_bytes / std::max<size_t>(bytes, 1) + 2;
  return static_cast<int>(std::clamp<size_t>(rotation, 4, 8192));
}

double Bench::replay(int n_sets, int rounds, int replays, const std::function<void(int set)>& fn) {
  Graph graph = stream.capture([&] {
    for (int i = 0; i < rounds * n_sets; ++i) fn(i % n_sets);
  });
  const auto once = [&] {
    stream.launch(graph);
    stream.synchronize();
  };
  std::vector<double> times;
  if (!tiny)
    for (double warm = 0; warm < kWarmSeconds && replays > 1;) warm += seconds(once);
  for (int i = 0; i < replays; ++i) times.push_back(seconds(once));
  return median(times) / (rounds * n_sets);
}

double Bench::time(int n_sets, const std::function<void(int set)>& fn) {
  // Libraries load their kernels at the first use, which cannot be captured.
  if (!tiny) fn(0), stream.synchronize();
  const double first = replay(n_sets, 1, 1, fn);
  if (tiny) return first;
  // The first use of a kernel loads it.
  const double rough = replay(n_sets, 1, 2, fn) * n_sets;
  return replay(n_sets, std::clamp(static_cast<int>(kGraphSeconds / rough), 1, 200), kReplays, fn);
}

Buffer Bench::random_halves(size_t n, float scale) {
  Buffer buffer((n + 7) / 8 * 16);
  fill_half(buffer.as<void>(), (n + 7) / 8 * 8, Half::BF16, scale, seed_++, stream);
  return buffer;
}

Buffer Bench::random_floats(size_t n, float scale) {
  Buffer buffer((n + 3) / 4 * 16);
  fill_float(buffer.as<float>(), (n + 3) / 4 * 4, scale, seed_++, stream);
  return buffer;
}

Buffer Bench::zeros(size_t bytes) {
  Buffer buffer(bytes);
  stream.fill(buffer.as<void>(), 0, bytes);
  return buffer;
}

void Bench::require_finite(const Buffer& halves, size_t n, const std::string& what) {
  std::vector<gattling::bf16> values(n);
  stream.copy_to_host(values.data(), halves.as<void>(), n * sizeof(gattling::bf16));
  stream.synchronize();
  bool any = false;
  for (const gattling::bf16 x : values) {
    const float value = gattling::widen(x);
    gattling::check(std::isfinite(value), what, " gave a value that is not finite.");
    any = any || value != 0;
  }
  gattling::check(any, what, " gave nothing but zeros.");
}

bool Bench::has_room(size_t bytes, const std::string& what) {
  const size_t free = free_device_memory();
  if (bytes + (size_t{1} << 30) <= free || tiny) return true;
  notes.push_back(what + " was left out: it takes " + std::to_string(bytes >> 20) + " MiB, and the device has " +
                  std::to_string(free >> 20) + " MiB free.");
  std::printf("%s\n", notes.back().c_str());
  return false;
}

void Bench::add(const Entry& entry) {
  const double rate = entry.work / entry.seconds;
  const bool bytes = entry.bound == Bound::Copy;
  std::printf("%-18s %-44s %10.1f us %8.2f %s %5.1f %%", entry.name.c_str(), entry.shape.c_str(), entry.seconds * 1e6,
              rate / 1e12, bytes ? "TB/s   " : "TFLOP/s", 100 * rate / limit(entry.bound));
  if (entry.target > 0) std::printf("  (target %.0f %%)", 100 * entry.target);
  std::printf("\n");
  std::fflush(stdout);
  entries_.push_back(entry);
}

std::string Bench::json(const std::string& commit) const {
  const bool is_h200 = device.name.find("H200") != std::string::npos;
  const bool valid = !facts.emulated && !tiny && (!is_h200 || (copy_rate >= 4.0e12 && matmul_rate >= 700e12));
  std::string out =
      "{\n  \"device\": " + quoted(device.name) + ",\n  \"capability\": " + std::to_string(device.capability) +
      ",\n  \"processors\": " + std::to_string(device.n_processors) + ",\n  \"driver_cuda\": " + quoted(facts.driver) +
      ",\n  \"runtime_cuda\": " + quoted(facts.runtime) + ",\n  \"commit\": " + quoted(commit) +
      ",\n  \"emulated\": " + (facts.emulated ? "true" : "false") + ",\n  \"valid\": " + (valid ? "true" : "false");
  out += ",\n  \"copy\": {\"bytes\": " + std::to_string(copy_bytes) +
         ", \"bytes_per_s\": " + number("%.4g", copy_rate) + ", \"by\": " + quoted(copied_by) + "}";
  out += ",\n  \"matmul\": {\"shape\": " + quoted(matmul_shape) + ", \"flop_per_s\": " + number("%.4g", matmul_rate) +
         ", \"by\": " + quoted(multiplied_by) + "}";
  out += ",\n  \"gqa\": {\"slope_bytes_per_s\": " + number("%.4g", gqa.slope_rate) +
         ", \"slope_of_copy\": " + number("%.4f", copy_rate > 0 ? gqa.slope_rate / copy_rate : 0) +
         ", \"one_kv_head_to_its_floor\": " + number("%.3f", gqa.one_to_floor) + "}";
  out += ",\n  \"notes\": [";
  for (size_t i = 0; i < notes.size(); ++i) out += (i > 0 ? ", " : "") + quoted(notes[i]);
  out += "],\n  \"results\": [";
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    out += (i > 0 ? ",\n    {" : "\n    {") + ("\"name\": " + quoted(e.name)) + ", \"shape\": " + quoted(e.shape) +
           ", \"us\": " + number("%.3f", e.seconds * 1e6) + ", \"" + (e.bound == Bound::Copy ? "bytes" : "flop") +
           "\": " + number("%.0f", e.work) + ", \"of\": \"" + (e.bound == Bound::Copy ? "copy" : "matmul") +
           "\", \"fraction\": " + number("%.4f", e.work / e.seconds / limit(e.bound));
    if (e.target > 0) out += ", \"target\": " + number("%.2f", e.target);
    out += "}";
  }
  return out + "\n  ]\n}\n";
}

}  // namespace bench
