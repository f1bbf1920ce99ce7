"""The loss of a program: its name and its settings, as the header tells them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "categorical_cross_entropy": "categorical_crossentropy",
}

_DISTANCES = frozenset(
    {"mean_squared_error", "mean_absolute_error", "huber", "log_cosh",
     "mean_absolute_percentage_error", "mean_squared_logarithmic_error"}
)  # fmt: skip

_OTHERS = frozenset(
    {"hinge", "squared_hinge", "categorical_hinge", "poisson", "cosine_similarity", "ctc", "dice",
     "tversky", "circle", "categorical_focal_crossentropy",
     "categorical_generalized_cross_entropy"}
)  # fmt: skip


@dataclass(frozen=True)
class Loss:
    """The loss: its name with aliases resolved (empty: not known), and its configuration."""

    name: str
    from_logits: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_over_classes(self) -> bool:
        """Whether each sample has exactly one class."""
        return self.name in ("categorical_crossentropy", "sparse_categorical_crossentropy")

    @property
    def is_crossentropy(self) -> bool:
        """Whether it takes the logarithm of probabilities."""
        return self.is_over_classes or self.name in (
            "binary_crossentropy", "binary_focal_crossentropy", "kl_divergence",
        )  # fmt: skip

    @property
    def is_distance(self) -> bool:
        """Whether it measures how far outputs are from targets, element by element."""
        return self.name in _DISTANCES

    @property
    def is_built_in(self) -> bool:
        """Whether it is a loss of Keras, by its name."""
        return self.is_crossentropy or self.is_distance or self.name in _OTHERS

    @property
    def is_mean(self) -> bool:
        """Whether it is averaged over the samples of a batch, not summed."""
        return self.config.get("reduction") not in ("sum", "none")

    def setting(self, name: str, default: float) -> float:
        """A number of the configuration, or what the loss takes without one."""
        value = self.config.get(name)
        return float(value) if isinstance(value, int | float) else default


def loss_of(loss: Any) -> Loss:
    """The loss that a header holds as a string or as a serialised object."""
    name = loss_name(loss) or ""
    config = loss.get("config", {}) if isinstance(loss, Mapping) else {}
    settings = config if isinstance(config, Mapping) else {}
    return Loss(_ALIASES.get(name, name), settings.get("from_logits") is True, settings)


def loss_name(loss: Any) -> str | None:
    """The snake-case name of a loss as headers hold it: a string, or a serialised object.

    Lists and mappings of a single loss count as that loss; several give None.
    """
    if isinstance(loss, str):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", loss.rsplit(".", 1)[-1]).lower()
    if isinstance(loss, Mapping):
        named = loss.get("class_name") or loss.get("name")
        if isinstance(named, str) and named not in ("function", "LossFunctionWrapper"):
            return loss_name(named)
        inner = loss.get("config") if "class_name" in loss else None
        if inner is not None:
            return loss_name(inner)
        return loss_name(next(iter(loss.values()))) if len(loss) == 1 else None
    if isinstance(loss, Sequence) and len(loss) == 1:
        return loss_name(loss[0])
    return None
