from pathlib import Path

import torch
from pydantic import Field

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target


class Stripes(Dataset):
    """Grey 8 x 8 images of horizontal or vertical stripes."""

    class Params(simssl.Params):
        images: int = Field(256, ge=1)
        "Images in each split."

    def load(self, root: Path, progress: Progress) -> Data:
        return Data.of(train=self.split(0), test=self.split(1))

    def split(self, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        label_N = torch.arange(self.params.images) % 2
        wave_8 = (torch.arange(8) // 2 % 2).float()
        horizontal = wave_8[:, None].expand(8, 8)
        clean_N188 = torch.stack([horizontal, horizontal.T])[label_N][:, None]
        noisy = 200 * clean_N188 + 50 * torch.rand(clean_N188.shape, generator=generator)
        return Split(noisy.byte(), {"direction": Target(label_N, ("horizontal", "vertical"), "content")})


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return Stripes
