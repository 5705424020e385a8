# Device cuda: each kernel by itself, and the engine on it. On a GPU, `ctest -L cuda` is what there is to run.
gattling_test(cuda_emulation_test gattling_cuda_emulated)
foreach(op attention attention_plan elementwise linear prepare rmsnorm sampler)
  gattling_test(cuda_${op}_test ${cuda} cuda)
endforeach()
foreach(op attention sampler)
  target_sources(cuda_${op}_test PRIVATE ops_reference.cpp)
endforeach()
target_link_libraries(cuda_sampler_test PRIVATE gattling_cpu)

# Whole models take the emulation long, and sanitizers nothing more than each kernel's own test shows them.
foreach(test reference demo independence)
  gattling_test(cuda_${test}_test ${engine_cuda} "cuda;slow" ${test}_test.cpp)
  target_compile_definitions(cuda_${test}_test PRIVATE GATTLING_TEST_DEVICE="cuda")
endforeach()
