# Device cuda: each kernel by itself, and the engine on it. On a GPU, `ctest -L cuda` is what there is to run.
gattling_test(cuda_emulation_test gattling_cuda_emulated)
foreach(op attention attention_plan elementwise linear prepare rmsnorm sampler)
  gattling_test(cuda_${op}_test ${cuda} cuda)
endforeach()
foreach(op attention sampler)
  target_sources(cuda_${op}_test PRIVATE ops_reference.cpp)
endforeach()
target_link_libraries(cuda_sampler_test PRIVATE gattling_cpu)

# cuBLASLt against a fake of it, which computes in the host's memory: the emulation's only.
foreach(library fake lacking)
  add_library(cublaslt_${library} MODULE EXCLUDE_FROM_ALL cublaslt/${library}.cpp)
  set_target_properties(cublaslt_${library} PROPERTIES OUTPUT_NAME cublasLt CXX_VISIBILITY_PRESET default)
endforeach()
set(fake_root ${CMAKE_CURRENT_BINARY_DIR}/cublaslt)
set_target_properties(cublaslt_fake PROPERTIES SUFFIX .so.13 LIBRARY_OUTPUT_DIRECTORY ${fake_root}/lib)
set_target_properties(cublaslt_lacking PROPERTIES SUFFIX .so.12 LIBRARY_OUTPUT_DIRECTORY ${fake_root}/lacking)
target_link_libraries(cublaslt_fake PRIVATE gattling_flags gattling_backend)
gattling_test(cuda_library_test gattling_cuda_emulated)
target_compile_definitions(cuda_library_test PRIVATE FAKE_CUBLASLT="${fake_root}")
target_link_libraries(cuda_library_test PRIVATE ${CMAKE_DL_LIBS})
add_dependencies(cuda_library_test cublaslt_fake cublaslt_lacking)

# Whole models take the emulation long, and sanitizers nothing more than each kernel's own test shows them.
foreach(test reference demo independence)
  gattling_test(cuda_${test}_test ${engine_cuda} "cuda;slow" ${test}_test.cpp)
  target_compile_definitions(cuda_${test}_test PRIVATE GATTLING_TEST_DEVICE="cuda")
endforeach()
