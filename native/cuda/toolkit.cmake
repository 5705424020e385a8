# Finds nvcc when GATTLING_CUDA asks for it; after this, CMAKE_CUDA_COMPILER says whether there is a CUDA backend.
set(wanted ${GATTLING_CUDA})
if(wanted STREQUAL auto)
  set(wanted off)
  if(EXISTS /dev/nvidiactl)
    include(CheckLanguage)
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      set(wanted on)
    endif()
  endif()
endif()
if(NOT wanted)
  return()
endif()

# Ampere and its successors by the first image (and, compiled by the driver, by its PTX); Hopper by its own.
set(CMAKE_CUDA_ARCHITECTURES 80-real 80-virtual 90a-real)
set(CMAKE_CUDA_STANDARD 17)  # CMake 3.25 knows no later one of nvcc 13
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
