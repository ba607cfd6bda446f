"""The sections of a recipe that all families have; those of problems and decisions are where these are made."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """Keys that are checked by name and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Real data sets by role, by the names that the family knows them by.

    For NMF those of `lrpilot.envs.data.matrices`, or .npy files; for linearised networks those of `labelled`; else
    those of `datasets`.
    """

    train: tuple[str, ...] = Field(description="what training and tuning problems are made of")
    validation: tuple[str, ...] = Field(description="what the problems that select a policy are made of")
    test: tuple[str, ...] = Field(description="what test problems are made of; kept for the end")

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        names = [*self.train, *self.validation, *self.test]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"train, validation and test must not share a data set, {', '.join(twice)} is in two")
        return self


class PPOSettings(Section):
    """Proximal policy optimisation, by Stable-Baselines3; each iteration plays `parallel` whole runs."""

    iterations: int = Field(ge=1, description="rollouts, each followed by an update")
    parallel: int = Field(ge=1, description="runs side by side in a rollout")
    replicas: int = Field(ge=1, description="runs that share a problem and its noise; divides `parallel`")
    batches: int = Field(1, ge=1, description="batches of runs, each with a horizon of its own; at least `processes`")
    processes: int = Field(1, ge=1, description="processes that compute the batches; divides their number")
    reward_scale: float | None = Field(
        None, gt=0, description="leads over the replica group, in nats, beyond which rewards are logarithmic"
    )
    reward_floor: float | None = Field(
        None, le=0, description="with a reward_scale: returns below it, in nats, count as it"
    )
    guidance: float = Field(0.0, ge=0, description="weight of the guidance by LRs that were tried; falls to a tenth")
    averaging: float = Field(0.0, ge=0, lt=1, description="weight of the old in the running average that is exported")
    minibatches: int = Field(ge=1, description="minibatches an epoch; parallel × decisions is divided by it")
    epochs: int = Field(ge=1, description="passes over a rollout")
    learning_rate: float = Field(gt=0, description="Adam's LR at the start; it falls linearly to a tenth")
    gae_lambda: float = Field(ge=0, le=1, description="λ of generalised advantage estimation; the discount is 1")
    entropy: float = Field(ge=0, description="weight of the entropy bonus")
    clip_range: float = Field(gt=0, description="PPO's clipping range of the probability ratio")
    net: tuple[int, ...] = Field(min_length=1, description="hidden layers of policy and value network, tanh")
    log_std: float = Field(description="log of the exploration noise at the start, in units of the action")
    begin_as: str | None = Field(None, description="policy that training begins with, a name or a path")
    first_action: float = Field(ge=-1, le=1, description="mean action of the untrained policy")
    first_until: float | None = Field(None, gt=0, lt=1, description="share of the horizon around which that falls to 0")

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        batches = max(self.batches, self.processes)
        if self.parallel % (self.replicas * batches) or batches % self.processes:
            raise ValueError(
                f"replicas × batches must divide parallel, and processes divide batches; {self.replicas} × {batches} "
                f"does not divide {self.parallel}, or {self.processes} does not divide {batches}"
            )
        return self


class ValidationSettings(Section):
    """Selection of the policy that a run exports."""

    problems: int = Field(ge=1, description="validation problems")
    every: int = Field(ge=1, description="iterations between two validations")
    floor: float | None = Field(None, description="final log losses below it count as it: such problems are solved")
    horizons: tuple[int, ...] = Field((), description="SGD steps of their runs, all counted alike; else `horizon`")


class ComparisonSettings(Section):
    """Size of the comparison; tuning, validation and test problems are disjoint."""

    tuning_problems: int = Field(ge=1, description="problems on which each baseline is tuned")
    test_problems: int = Field(ge=2, description="unseen problems on which all are compared")
    base_lrs: int = Field(ge=2, description="base LRs tried for each baseline and shape")
    baselines: tuple[str, ...] = Field((), description="on networks: families of schedules to tune; none named: all")
    networks: int | None = Field(None, ge=1, description="of the plain_torch benchmark; null: all")
    horizons: tuple[int, ...] = Field((), description="SGD steps of its runs; none named: 100 to 3,000")
    processes: int = Field(ge=1, description="worker processes")


class RealRuns(Section):
    """Factorisation of the whole real test matrices in a plain PyTorch loop."""

    rank: int = Field(ge=1, description="rank of the factorisation")
    steps: int = Field(ge=2, description="SGD steps")
    batch_fraction: float = Field(gt=0, le=1, description="share of the columns in a mini-batch")
    gradient_noise: float = Field(ge=0, description="norm of additive noise over that of the first gradient")
    seeds: int = Field(ge=2, description="initialisations of each matrix")
