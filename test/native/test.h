// A test program: TEST(name) { ... } with CHECK and THROWS; main() runs all, or those whose name contains an argument;
// with GATTLING_TEST_FIRST_FAILURE set, up to the first that fails.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace test {

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

struct Failure {
  std::string what;
};

// Ends the case; CTest counts the program as failed.
[[noreturn]] inline void failed(const char* file, int line, const std::string& what) {
  throw Failure{std::string(file) + ":" + std::to_string(line) + ": " + what};
}

inline int run(int argc, char** argv) {
  int n_run = 0, n_failed = 0;
  for (const Case& c : cases()) {
    if (argc > 1 && !std::strstr(c.name, argv[1])) continue;
    if (n_failed > 0 && std::getenv("GATTLING_TEST_FIRST_FAILURE") != nullptr) break;
    ++n_run;
    try {
      c.run();
    } catch (const Failure& failure) {
      ++n_failed;
      std::printf("FAILED %s\n  %s\n", c.name, failure.what.c_str());
    } catch (const std::exception& error) {
      ++n_failed;
      std::printf("FAILED %s\n  unexpected: %s\n", c.name, error.what());
    }
  }
  std::printf("%d cases, %d failed\n", n_run, n_failed);
  return n_failed || n_run == 0 ? 1 : 0;
}

}  // namespace test

#define TEST(name)                                           \
  static void test_##name();                                 \
  static test::Register register_##name(#name, test_##name); \
  static void test_##name()

#define CHECK(...) \
  if (!(__VA_ARGS__)) test::failed(__FILE__, __LINE__, #__VA_ARGS__)

// Expects an exception whose text contains `part`.
#define THROWS(part, ...)                                                \
  do {                                                                   \
    std::string thrown_text = "nothing was thrown";                      \
    try {                                                                \
      __VA_ARGS__;                                                       \
    } catch (const std::exception& error) {                              \
      thrown_text = error.what();                                        \
    }                                                                    \
    if (thrown_text.find(part) == std::string::npos)                     \
      test::failed(__FILE__, __LINE__, #__VA_ARGS__ ": " + thrown_text); \
  } while (false)

#ifndef GATTLING_TEST_NO_MAIN
int main(int argc, char** argv) {
  return test::run(argc, argv);
}
#endif
