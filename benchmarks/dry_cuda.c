/* A CUDA device that hands out memory and computes nothing; see dry_cuda.py, which adds functions that return 0 for
 * everything torch calls and this file does not define. Memory is mapped and never touched but by copies from and to
 * the host. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vector_types.h>
#include <driver_types.h>

#define OUT_OF_MEMORY 2
#define VERSION 13000
enum { MAJOR = 8, MINOR = 6, PROCESSORS = 46, THREADS = 1024, SHARED = 49152, SHARED_OPT_IN = 101376, REGISTERS = 65536 };

/* Memory */
static size_t given = 0;
static struct { void *at; size_t size; } blocks[65536];
static int count = 0;

static size_t total(void) { return strtoull(getenv("DRY_CUDA_BYTES"), NULL, 10); }

int cudaMalloc(void **at, size_t size) {
    if (given + size > total() || count == 65536) return OUT_OF_MEMORY;
    *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*at == MAP_FAILED) return OUT_OF_MEMORY;
    blocks[count].at = *at, blocks[count++].size = size, given += size;
    return 0;
}

int cudaFree(void *at) {
    for (int i = 0; at && i < count; i++)
        if (blocks[i].at == at) {
            munmap(at, blocks[i].size), given -= blocks[i].size, blocks[i] = blocks[--count];
            break;
        }
    return 0;
}

int cudaHostAlloc(void **at, size_t size, unsigned flags) { return posix_memalign(at, 4096, size) ? OUT_OF_MEMORY : 0; }
int cudaFreeHost(void *at) { free(at); return 0; }
int cudaMemGetInfo(size_t *left, size_t *all) { *all = total(), *left = *all - given; return 0; }

int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    if (kind != cudaMemcpyDeviceToDevice) memcpy(to, from, size);
    return 0;
}
int cudaMemcpy(void *to, const void *from, size_t size, int kind) { return cudaMemcpyAsync(to, from, size, kind, 0); }
int cudaPointerGetAttributes(struct cudaPointerAttributes *found, const void *at) { memset(found, 0, sizeof *found); return 0; }
int cuPointerGetAttribute(void *found, int which, unsigned long at) { *(unsigned long *)found = at; return 0; }

/* The device */
static int attribute(int which) {
    switch (which) {
    case cudaDevAttrComputeCapabilityMajor: return MAJOR;
    case cudaDevAttrComputeCapabilityMinor: return MINOR;
    case cudaDevAttrMultiProcessorCount: return PROCESSORS;
    case cudaDevAttrMaxThreadsPerBlock: return THREADS;
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrMaxSharedMemoryPerBlock: return SHARED;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return SHARED_OPT_IN;
    case cudaDevAttrMaxThreadsPerMultiProcessor: return 1536;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: return REGISTERS;
    case cudaDevAttrMaxGridDimX: return 2147483647;
    default: return 0;
    }
}

int cudaGetDeviceProperties(struct cudaDeviceProp *found, int device) {
    memset(found, 0, sizeof *found);
    strcpy(found->name, "dry");
    found->totalGlobalMem = total(), found->major = MAJOR, found->minor = MINOR;
    found->multiProcessorCount = PROCESSORS, found->warpSize = 32, found->l2CacheSize = 4000000;
    found->maxThreadsPerBlock = THREADS, found->maxThreadsPerMultiProcessor = 1536;
    found->maxThreadsDim[0] = found->maxThreadsDim[1] = THREADS, found->maxThreadsDim[2] = 64;
    found->maxGridSize[0] = 2147483647, found->maxGridSize[1] = found->maxGridSize[2] = 65535;
    found->sharedMemPerBlock = SHARED, found->sharedMemPerBlockOptin = SHARED_OPT_IN, found->sharedMemPerMultiprocessor = 102400;
    found->regsPerBlock = found->regsPerMultiprocessor = REGISTERS, found->textureAlignment = 512;
    return 0;
}

int cudaDeviceGetAttribute(int *found, int which, int device) { *found = attribute(which); return 0; }
int cuDeviceGetAttribute(int *found, int which, int device) { *found = attribute(which); return 0; }
int cudaGetDeviceCount(int *found) { *found = 1; return 0; }
int cuDeviceGetCount(int *found) { *found = 1; return 0; }
int cudaGetDevice(int *found) { *found = 0; return 0; }
int cuDeviceGet(int *found, int i) { *found = 0; return 0; }
int cuCtxGetDevice(int *found) { *found = 0; return 0; }
int cudaDriverGetVersion(int *found) { *found = VERSION; return 0; }
int cuDriverGetVersion(int *found) { *found = VERSION; return 0; }
int cudaRuntimeGetVersion(int *found) { *found = VERSION; return 0; }
int cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0, *greatest = -5; return 0; }
const char *cudaGetErrorString(int error) { return error == OUT_OF_MEMORY ? "out of memory" : "dry"; }
const char *cudaGetErrorName(int error) { return "dry"; }
int cuGetErrorString(int error, const char **text) { *text = "dry"; return 0; }

/* Handles of nothing */
static int handle(void **found) { *found = malloc(64); return 0; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { *flags = 0, *active = 1; return 0; }
int cuDevicePrimaryCtxRetain(void **found, int device) { return handle(found); }
int cuCtxGetCurrent(void **found) { static int context; *found = &context; return 0; }
int cudaStreamCreate(void **found) { return handle(found); }
int cudaStreamCreateWithFlags(void **found, unsigned flags) { return handle(found); }
int cudaStreamCreateWithPriority(void **found, unsigned flags, int priority) { return handle(found); }
int cudaStreamIsCapturing(void *stream, int *found) { *found = 0; return 0; }
int cudaStreamGetCaptureInfo(void *stream, int *found) { *found = 0; return 0; }
int cudaEventCreate(void **found) { return handle(found); }
int cudaEventCreateWithFlags(void **found, unsigned flags) { return handle(found); }
int cudaEventElapsedTime(float *found, void *from, void *to) { *found = 0; return 0; }
int cudaGetSymbolAddress(void **found, const void *symbol) { return handle(found); }
static int nothing(void) { return 0; }
int cudaGetDriverEntryPointByVersion(const char *name, void **found, unsigned version, unsigned long long flags, int *status) {
    *found = (void *)nothing;
    if (status) *status = 0;
    return 0;
}

/* Kernels and products: counted, for gpu.py */
long dry_cuda_launches = 0;
#define COUNTED(name) int name(void) { dry_cuda_launches++; return 0; }
COUNTED(cudaLaunchKernel) COUNTED(__cudaLaunchKernel) COUNTED(cudaLaunchKernelExC)
COUNTED(cuLaunchKernel) COUNTED(cuLaunchKernelEx) COUNTED(cuLaunchCooperativeKernel)
COUNTED(cublasSgemm_v2) COUNTED(cublasSgemmStridedBatched) COUNTED(cublasGemmEx)
COUNTED(cublasGemmStridedBatchedEx) COUNTED(cublasLtMatmul)

int cudaFuncGetAttributes(struct cudaFuncAttributes *found, const void *kernel) {
    memset(found, 0, sizeof *found);
    found->ptxVersion = found->binaryVersion = 10 * MAJOR + MINOR, found->maxThreadsPerBlock = THREADS, found->numRegs = 32;
    return 0;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *found) { *found = 2; return 0; }
int __cudaGetKernel(void **found, const void *kernel) { *found = (void *)kernel; return 0; }
int cuModuleLoadData(void **found, const void *image) { return handle(found); }
int cuModuleLoadDataEx(void **found, const void *image) { return handle(found); }
int cuModuleGetFunction(void **found, void *module, const char *name) { return handle(found); }
int cuFuncGetAttribute(int *found, int which, void *kernel) { *found = which == 0 ? THREADS : which == 4 ? 32 : 0; return 0; }
int cuOccupancyMaxActiveClusters(int *found) { *found = 1; return 0; }
/* Triton looks these up by name */
int cuInit(unsigned flags) { return 0; }
int cuCtxGetLimit(size_t *found, int which) { *found = 0; return 0; }
int cuCtxSetLimit(int which, size_t value) { return 0; }
int cuCtxSetCurrent(void *context) { return 0; }
int cuFuncSetAttribute(void *kernel, int which, int value) { return 0; }
int cuFuncSetCacheConfig(void *kernel, int which) { return 0; }
int cuModuleUnload(void *module) { return 0; }

/* cuBLAS */
int cublasCreate_v2(void **found) { return handle(found); }
int cublasGetMathMode(void *h, int *found) { *found = 0; return 0; }
int cublasGetPointerMode_v2(void *h, int *found) { *found = 0; return 0; }
unsigned long cublasLtGetVersion(void) { return 130100; }
int cublasLtMatmulDescCreate(void **found, int type, int scale) { return handle(found); }
int cublasLtMatrixLayoutCreate(void **found, int type, unsigned long rows, unsigned long columns, long stride) { return handle(found); }
int cublasLtMatmulPreferenceCreate(void **found) { return handle(found); }
int cublasLtMatmulAlgoGetHeuristic(void *h, void *d, void *a, void *b, void *c, void *to, void *p, int most, void *found, int *number) {
    memset(found, 0, 96), *number = 1;
    return 0;
}
