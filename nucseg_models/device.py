"""The device that a backend computes on: its name, its threads, its memory."""

from __future__ import annotations

import ctypes
import platform
import re
import resource
from contextlib import suppress
from pathlib import Path

import keras

from nucseg_models.data.cache import cache_root

# Linux keeps a process's largest resident size here; writing 5 to the second file restarts it.
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


# Parameters of the C library's mallopt. By its own limits it hands each large tensor back to Linux,
# which clears the pages anew for the next: arrays up to LARGEST bytes are to come from memory that
# is never handed back. (Threads share that memory only where MALLOC_ARENA_MAX=1 from the start.)
TRIM_THRESHOLD, MMAP_THRESHOLD, NEVER, LARGEST = -1, -3, -1, 1 << 30


def prepare(threads: int, precision: str = "float32") -> None:
    """Set the process up for training; call before it computes anything.

    precision: Keras's dtype policy: "float32", or "mixed_bfloat16" or "mixed_float16", by which
    networks compute in half the bits; their weights and losses are float32 all the same.

    Memory: what large tensors leave is kept for the next ones. In Ray's workers this was seen to
    have no effect: there the environment says it (see sweeps.search).

    TensorFlow uses no more than `threads` cores (JAX and torch take theirs from
    `OMP_NUM_THREADS`, which Ray sets). On a GPU it takes memory as it needs it. On a CPU its graph
    rewriting is off: it was half of the wait for ResNet-152's first step, and made no later step
    faster. What JAX compiles for a GPU, in tens of seconds, is kept for the next process.
    """
    keras.config.set_dtype_policy(precision)
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(MMAP_THRESHOLD, LARGEST)
        libc.mallopt(TRIM_THRESHOLD, NEVER)
    if keras.backend.backend() == "jax" and on_gpu():
        import jax  # noqa: PLC0415

        jax.config.update("jax_compilation_cache_dir", str(cache_root(None) / "jax"))
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf  # noqa: PLC0415  the one file that knows backends by name

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def name() -> str:
    """What computes, such as "Tesla T4" or "Intel(R) Xeon(R) ... (CPU)"."""
    return _gpu_name() or f"{_processor()} (CPU)"


def on_gpu() -> bool:
    """Whether a GPU computes."""
    return _gpu_name() is not None


def _gpu_name() -> str | None:
    """The first GPU that the backend sees, by its maker's name."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        gpus = tf.config.list_physical_devices("GPU")
        details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
        return str(details.get("device_name", "GPU")) if gpus else None
    if backend == "jax":
        import jax  # noqa: PLC0415

        device = jax.devices()[0]
        return None if device.platform == "cpu" else str(device.device_kind)
    import torch  # noqa: PLC0415

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def _gpu_peak() -> int | None:
    """Most memory that the backend held on its first GPU; None where there is none."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        gpus = tf.config.list_logical_devices("GPU")
        return int(tf.config.experimental.get_memory_info(gpus[0].name)["peak"]) if gpus else None
    if backend == "jax":
        import jax  # noqa: PLC0415

        device = jax.devices()[0]
        return None if device.platform == "cpu" else int(device.memory_stats()["peak_bytes_in_use"])
    import torch  # noqa: PLC0415

    return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else None


def _processor() -> str:
    """The processor's name, as Linux knows it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found.group(1).strip() if found else platform.machine()


def restart_peak_memory() -> None:
    """Let `peak_memory_bytes` count from now on, where the system can; else since the start.

    JAX can not for a GPU.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415

        for gpu in tf.config.list_logical_devices("GPU"):
            tf.config.experimental.reset_memory_stats(gpu.name)
    if backend == "torch":
        import torch  # noqa: PLC0415

        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        CLEAR.write_text("5")


def give_back_memory() -> None:
    """Hand what is free back to the system, and count the peak from now on.

    `prepare` keeps it for the next tensors; a trial of another network would count it as its own.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
    restart_peak_memory()


def peak_memory_bytes() -> int:
    """Most memory held since `restart_peak_memory`, in bytes: of the GPU, else of this process."""
    on_gpu = _gpu_peak()
    if on_gpu is not None:
        return on_gpu
    found = re.search(r"VmHWM:\s*(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    if found:
        return int(found.group(1)) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
