"""Learning and answering without seeing: a head trained with differential privacy, and a head computed on ciphertexts.

Both touch the head alone. The body, which turns a tile into some hundred features, is public here (the student that
this package ships), so that the features are computed once and what costs is small.
"""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from cvprod.models.networks import Classifier
from cvprod.surface import CLASSES


@torch.inference_mode()
def features(network: Classifier, images: np.ndarray, *, batch: int = 64) -> np.ndarray:
    """What the network's last layer gets to see: uint8 (N, 1, 96, 96) -> float32 (N, width).

    network: a student, whose body ends in `head`.
    """
    body = network.body[:-1]
    parts = torch.from_numpy(np.ascontiguousarray(images)).split(batch)
    return torch.cat([body(network.normalise(part)) for part in parts]).numpy().copy()


def standardise(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Zero mean and unit variance by the first set's numbers, so that clipping treats all features alike."""
    mean, scale = train.mean(0), train.std(0) + 1e-6
    return [((x - mean) / scale).astype(np.float32) for x in (train, *others)]


def plain_head(x: np.ndarray, y: np.ndarray, *, hidden: int = 128, steps: int = 150, seed: int = 0) -> nn.Module:
    """A head trained as usual: float32 (N, width) features and int64 (N,) labels, all of them in every step."""
    torch.manual_seed(seed)
    head = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, len(CLASSES)))
    optimiser, tiles, labels = torch.optim.AdamW(head.parameters(), lr=1e-2), torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(head(tiles), labels).backward()
        optimiser.step()
    return head.eval()


def private_head(
    x: np.ndarray, y: np.ndarray, *, noise: float = 2.0, delta: float = 1e-3, epochs: int = 20, batches: int = 4,
    seed: int = 0,
) -> tuple[nn.Module, float]:  # fmt: skip
    """A linear head trained by DP-SGD, and the epsilon that it spent at `delta`.

    Each tile's gradient is clipped to length 1, and noise of `noise` times that is added to their sum, so that no
    single tile can be seen in the result. Tiles come in Poisson samples, as the accounting assumes.
    Source: M. Abadi and others, "Deep learning with differential privacy", arXiv:1607.00133; by Opacus.
    Raises ValueError for a delta of 1/N or more, which would allow giving away one tile whole.
    """
    if not 0 < delta < 1 / len(x):
        raise ValueError(f"delta must be below one in {len(x)} (the tiles), not {delta}")
    with _quiet():
        from opacus import PrivacyEngine

        torch.manual_seed(seed)
        head = nn.Sequential(nn.Linear(x.shape[1], len(CLASSES)))
        data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
        loader = torch.utils.data.DataLoader(data, batch_size=-(-len(x) // batches))
        engine = PrivacyEngine(accountant="rdp")
        head, optimiser, loader = engine.make_private(
            module=head, optimizer=torch.optim.SGD(head.parameters(), lr=0.5), data_loader=loader,
            noise_multiplier=noise, max_grad_norm=1.0, noise_generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        for _ in range(epochs):
            for tiles, labels in loader:
                if len(tiles):  # a Poisson sample may be empty
                    optimiser.zero_grad()
                    F.cross_entropy(head(tiles), labels).backward()
                    optimiser.step()
        return head._module.eval(), engine.get_epsilon(delta)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Opacus warns that this is no secure random generator (true: pass secure_mode in production) and of its hooks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("opacus").setLevel(logging.ERROR)
        yield


def answers(head: nn.Module, x: np.ndarray) -> np.ndarray:
    """Probabilities of a head: float32 (N, width) -> float32 (N, 7)."""
    with torch.inference_mode():
        return head(torch.from_numpy(x)).softmax(1).numpy()


@dataclass(frozen=True)
class Encrypted:
    """One inference on a ciphertext: logits as the client decrypts them, bytes that travel, and seconds."""

    logits: np.ndarray
    plain_bytes: int
    sent_bytes: int
    received_bytes: int
    encrypt_s: float
    compute_s: float


def encrypted_head(vector: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> Encrypted:
    """A linear layer on an encrypted vector: the server never sees the features, nor the logits.

    vector: float (width,); weight: float (classes, width); bias: (classes,). CKKS (Cheon and others, 2017), ring of
    8192, by TenSEAL: approximate arithmetic, enough levels for one product.
    """
    import tenseal

    own = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 60])
    own.global_scale = 2**40
    own.generate_galois_keys()
    public = own.copy()
    public.make_context_public()  # what the server has: it can compute, and read nothing
    begun = time.perf_counter()
    sent = tenseal.ckks_vector(own, vector.astype(float).tolist()).serialize()
    encrypted = time.perf_counter()
    received = tenseal.ckks_vector_from(public, sent).mm(weight.T.astype(float).tolist()) + bias.astype(float).tolist()
    computed, answer = time.perf_counter(), received.serialize()
    logits = np.array(tenseal.ckks_vector_from(own, answer).decrypt()[: len(bias)])
    return Encrypted(
        logits, vector.astype(np.float32).nbytes, len(sent), len(answer), encrypted - begun, computed - encrypted
    )


@dataclass(frozen=True)
class Split:
    """A student in two parts: `device` keeps the tile and gives activations, `server` makes logits of them."""

    device: nn.Module
    server: nn.Module
    name: str


def splits(network: Classifier) -> list[Split]:
    """Where a student can be cut: after the first convolution, after each block, before the head."""
    parts = list(network.body)
    blocks = list(network.body.blocks)
    first, last = [network.normalise, *parts[:3]], parts[4:]
    found = [Split(nn.Sequential(*first), nn.Sequential(*blocks, *last), "first convolution")]
    for index in range(1, len(blocks) + 1):
        device, server = [*first, *blocks[:index]], [*blocks[index:], *last]
        found.append(Split(nn.Sequential(*device), nn.Sequential(*server), f"block {index}"))
    found.append(Split(nn.Sequential(*first, *blocks, *last[:-1]), last[-1], "before the head"))
    return found


def reconstruct(split: Split, known: np.ndarray, secret: np.ndarray, *, ridge: float = 1e-1) -> np.ndarray:
    """What somebody who sees the activations can draw of the tile, at 24 x 24: a linear guess, fitted on own tiles.

    known, secret: uint8 (N, 1, 96, 96). Returns float (N, 24, 24), grey levels. A server that wants to look needs no
    better method to show that activations are not anonymous; a trained decoder draws more.
    """
    with torch.inference_mode():
        seen = [split.device(torch.from_numpy(part)).flatten(1).numpy() for part in (known, secret)]
    target = small(known).reshape(len(known), -1)
    centre, mean = seen[0].mean(0), target.mean(0)
    x = seen[0] - centre
    kernel = x @ x.T  # more features than tiles: solve among the tiles
    weights = np.linalg.solve(kernel + ridge * np.trace(kernel) / len(x) * np.eye(len(x)), target - mean)
    return ((seen[1] - centre) @ x.T @ weights + mean).reshape(-1, 24, 24)


def small(images: np.ndarray) -> np.ndarray:
    """Tiles at a quarter of their side, by averages: uint8 (N, 1, 96, 96) -> float (N, 24, 24)."""
    return images[:, 0].reshape(-1, 24, 4, 24, 4).mean((2, 4)).astype(np.float32)


def explained(drawn: np.ndarray, images: np.ndarray) -> float:
    """Share of the tiles' own contrast that a reconstruction shows: 0 is nothing but the mean grey, 1 is all of it."""
    true = small(images)
    rest = ((true - drawn) ** 2).sum()
    return float(max(0.0, 1 - rest / ((true - true.mean((1, 2), keepdims=True)) ** 2).sum()))


def load_head(network: Classifier) -> tuple[np.ndarray, np.ndarray]:
    """Weight (7, width) and bias (7,) of a student's last layer."""
    head = network.body.head
    return head.weight.detach().numpy().copy(), head.bias.detach().numpy().copy()
