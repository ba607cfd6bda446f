"""The folder of a training run: what lies where, and nothing half-written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.configs.load import dump
from lrpilot.files import make_folder, write_text


@dataclass(frozen=True)
class Run:
    """One run: its folder and its recipe.

    Attributes:
        folder: `runs/<env>/<name>`.
        recipe: The resolved recipe, also in `config.yaml`.
    """

    folder: Path
    recipe: Recipe

    @classmethod
    def start(cls, recipe: Recipe, root: Path, name: str | None = None) -> Self:
        """Make the folder of a new run; an existing one is never overwritten.

        Args:
            recipe: What to run.
            root: Usually `runs`.
            name: Name of the run; by default `seed<N>`, with a number behind it if that is taken.

        Returns:
            The run.

        Raises:
            ConfigError: A run of that name exists.
            OutputError: The folder can't be made or written to.
        """
        parent = root / recipe.env
        folder = parent / (name or f"seed{recipe.seed}")
        count = 2
        while name is None and folder.exists():
            folder, count = parent / f"seed{recipe.seed}-{count}", count + 1
        if folder.exists():
            raise ConfigError(f"run {folder} exists: resume it with --resume {folder}, or choose another --name")
        for inside in ("checkpoints", "figures", "tensorboard"):
            make_folder(folder / inside)
        write_text(folder / "config.yaml", dump(recipe))
        return cls(folder, recipe)

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Return a run that was interrupted.

        Args:
            folder: Its folder.

        Returns:
            The run, with the recipe it began with.

        Raises:
            ConfigError: There is no run, or it has no checkpoint.
        """
        if not (folder / "config.yaml").is_file():
            raise ConfigError(f"no run in {folder}: it has no config.yaml")
        run = cls(folder, load_recipe(folder / "config.yaml"))
        if not run.checkpoint.is_file():
            raise ConfigError(f"run {folder} has no checkpoint yet: start it anew")
        return run

    @property
    def checkpoint(self) -> Path:
        """Stable-Baselines3's own file, for resuming only: it holds pickles, so load none from strangers."""
        return self.folder / "checkpoints" / "ppo.zip"

    @property
    def progress(self) -> Path:
        """Validation scores so far, as JSON."""
        return self.folder / "checkpoints" / "progress.json"

    def validated(self, iteration: int) -> Path:
        """The policy after an iteration that was followed by a validation: all are kept."""
        return self.folder / "checkpoints" / f"policy-{iteration:04d}.safetensors"

    @property
    def best(self) -> Path:
        """The best policy so far by validation."""
        return self.folder / "checkpoints" / "best.safetensors"

    @property
    def policy(self) -> Path:
        """What the run exports when it is finished: the best policy."""
        return self.folder / "policy.safetensors"
