"""Optimizers: how weights follow their gradients, with the formulas and defaults of Keras.

Weights change in place. Gradients are only read: they may have been handed to an observer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .arrays import Array
from .choices import choose

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Parameter:
    """A weight to be changed; ``key`` is unique in the network ("dense/kernel").

    ``squares`` replaces the gradient's squares where a layer knows better (see `Embedding`).
    """

    key: str
    value: Array
    gradient: Array
    learning_rate: float | None = None
    squares: Array | None = None


class Optimizer:
    """What all have in common: the step counter, the learning rate and the slots.

    Attributes
    ----------
    learning_rate
        A number, or a callable that takes the number of steps done and returns one.
    iterations
        Steps done.
    slots
        By the parameter's key, then by name ("momentum", ...): arrays of the weight's shape.
    """

    name: ClassVar[str]

    def __init__(self, learning_rate: float | Schedule) -> None:
        if not callable(learning_rate) and not learning_rate >= 0:
            raise ValueError(f"{self.name}: learning_rate must be >= 0, found {learning_rate!r}")
        self.learning_rate = learning_rate
        self.iterations = 0
        self.slots: dict[str, dict[str, Array]] = {}

    @property
    def current_learning_rate(self) -> float:
        """The learning rate of the next step."""
        rate = self.learning_rate
        return float(rate(self.iterations) if callable(rate) else rate)

    def apply(self, parameters: Iterable[Parameter]) -> None:
        """One step: change every parameter's value by its gradient."""
        rate = self.current_learning_rate
        for parameter in parameters:
            slots = self.slots.setdefault(parameter.key, {})
            for name in self.slot_names():
                if name not in slots:
                    slots[name] = np.zeros_like(parameter.value)
            own = parameter.learning_rate
            self.update(parameter, rate if own is None else own, slots)
        self.iterations += 1

    def slot_names(self) -> tuple[str, ...]:
        """Names of the arrays kept for every weight, all zeros at first."""
        return ()

    def update(self, parameter: Parameter, rate: float, slots: dict[str, Array]) -> None:
        """Change one weight and its slots in place."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """Name and arguments; a callable learning rate as the value that it has now."""
        return {"name": self.name, "learning_rate": self.current_learning_rate}


class SGD(Optimizer):
    """Gradient descent, w -= rate g; with momentum v = momentum v - rate g and w += v.

    With ``nesterov``, w += momentum v - rate g (Sutskever et al. 2013, as Keras writes it).
    """

    name = "sgd"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        if not 0 <= momentum <= 1:
            raise ValueError(f"sgd: momentum must be in [0, 1], found {momentum!r}")
        self.momentum = momentum
        self.nesterov = nesterov

    def slot_names(self) -> tuple[str, ...]:
        """The velocity, if there is momentum."""
        return ("momentum",) if self.momentum else ()

    def update(self, parameter: Parameter, rate: float, slots: dict[str, Array]) -> None:
        """One step of one weight."""
        step = parameter.gradient * rate
        if self.momentum:
            v = slots["momentum"]
            v *= self.momentum
            v -= step
            step = step - v * self.momentum if self.nesterov else -v
        np.subtract(parameter.value, step, out=parameter.value)

    def config(self) -> dict[str, Any]:
        """Name and arguments."""
        return {**super().config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """Scaled by a moving mean square: v = rho v + (1 - rho) g^2; w -= rate g / sqrt(v + epsilon).

    Hinton 2012, lecture 6. With ``momentum``, m = momentum m + that step and w -= m; ``centered``
    subtracts the square of the moving mean of g from v (Graves 2013).
    """

    name = "rmsprop"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def slot_names(self) -> tuple[str, ...]:
        """The moving mean square, and what momentum and centering need."""
        return (
            "velocity",
            *(("momentum",) if self.momentum else ()),
            *(("average_gradient",) if self.centered else ()),
        )

    def update(self, parameter: Parameter, rate: float, slots: dict[str, Array]) -> None:
        """One step of one weight."""
        g = parameter.gradient
        v = slots["velocity"]
        v *= self.rho
        v += (1 - self.rho) * _squares(parameter)
        variance = v + self.epsilon
        if self.centered:
            mean = slots["average_gradient"]
            mean *= self.rho
            mean += g * (1 - self.rho)
            variance = v - np.square(mean) + self.epsilon
        step = g * rate / np.sqrt(variance)
        if self.momentum:
            m = slots["momentum"]
            m *= self.momentum
            m += step
            step = m
        np.subtract(parameter.value, step, out=parameter.value)

    def config(self) -> dict[str, Any]:
        """Name and arguments."""
        return {
            **super().config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }


class Adam(Optimizer):
    """With moving means m and v of g and g^2: w -= alpha m / (sqrt(v) + epsilon).

    alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t): the form before section 2.1 of Kingma and
    Ba 2015, whose epsilon is the paper's epsilon-hat.
    """

    name = "adam"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slot_names(self) -> tuple[str, ...]:
        """The two moments."""
        return ("momentum", "velocity")

    def update(self, parameter: Parameter, rate: float, slots: dict[str, Array]) -> None:
        """One step of one weight."""
        # In the weight's dtype, as Keras: in float32, 1 - 0.999^t is off by up to 5e-5.
        number = parameter.value.dtype.type
        t = number(self.iterations + 1)
        correction_1 = 1 - number(self.beta_1) ** t
        correction_2 = 1 - number(self.beta_2) ** t
        alpha = number(rate) * np.sqrt(correction_2) / correction_1
        m, v = slots["momentum"], slots["velocity"]
        step = parameter.gradient - m
        step *= 1 - self.beta_1
        m += step
        np.subtract(_squares(parameter), v, out=step)
        step *= 1 - self.beta_2
        v += step
        np.sqrt(v, out=step)
        step += self.epsilon
        np.divide(m, step, out=step)
        step *= alpha
        np.subtract(parameter.value, step, out=parameter.value)

    def config(self) -> dict[str, Any]:
        """Name and arguments."""
        return {
            **super().config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


def optimizer_named(optimizer: str | Optimizer, **arguments: Any) -> Optimizer:
    """A new optimizer of Keras's name, or the one given.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    return choose("optimizer", optimizer, _OPTIMIZERS)(**arguments)


def _squares(parameter: Parameter) -> Array:
    return np.square(parameter.gradient) if parameter.squares is None else parameter.squares


_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam}
