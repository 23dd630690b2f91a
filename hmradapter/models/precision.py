"""Where low precision pays: bfloat16 for frozen parts, float32 for what learns."""
import torch

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16}


def frozen_dtype(choice: str, device: torch.device) -> torch.dtype:
    """dtype of frozen parts for a config's choice 'auto', 'bf16' or 'fp32' on `device`.

    'auto' is bf16 on CUDA devices with native bfloat16 and on CPUs with AMX-BF16 or AVX512-BF16, else fp32.

    Raises:
        ValueError: for another choice.
    """
    check_choice(choice)
    if choice in DTYPES:
        return DTYPES[choice]
    if device.type == 'cuda':
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == 'cpu':
        native = torch.backends.mkldnn.is_available() and _cpu_multiplies_bf16()
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


def check_choice(choice: str) -> None:
    """ValueError unless `choice` is one of frozen_dtype's."""
    if choice != 'auto' and choice not in DTYPES:
        raise ValueError(f"frozen_dtype is {choice!r}; it must be 'auto', 'bf16' or 'fp32'.")


def _cpu_multiplies_bf16() -> bool:
    # private, but the only query that torch offers; absent names mean a build that cannot tell, hence fp32
    queries = ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    return any(getattr(torch.cpu, query, lambda: False)() for query in queries)
