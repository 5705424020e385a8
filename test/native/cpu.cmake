# The ops of every backend, one test body for all.
add_library(ops_cases STATIC ops_cases.cpp ops_reference.cpp)
target_link_libraries(ops_cases PUBLIC gattling_cpu)
gattling_test(ops_test ops_cases)
gattling_test(ops_attention_test ops_cases)
gattling_test(ops_invariance_test ops_cases)
gattling_test(sampling_test ops_cases)
gattling_test(cpu_pack_test ops_cases)
gattling_test(pool_test gattling_cpu threads)
