"""A NumPy network that breaks: the house prices of a regression are not scaled.

``python examples/numpy_nan.py run.h5`` trains until the loss is NaN and records it. Then:
``deeplocalize-analyze run.h5``.
"""

import sys

import numpy as np

from deeplocalize.recorder import Recorder
from deeplocalize.recorder.numpynet import Dense, LeakyReLU, Sequential

path = sys.argv[1] if len(sys.argv) > 1 else "nan.h5"
rng = np.random.default_rng(0)
x = rng.uniform(20, 250, (640, 8))  # rooms, square metres, ...
y = x @ rng.uniform(500, 3000, (8, 1)) + rng.normal(0, 1e4, (640, 1))  # up to some million

model = Sequential(seed=0)
model.add(Dense(num_inputs=8, num_outputs=16, lr_rate=1e-4, name="FC1"))
model.add(LeakyReLU())
model.add(Dense(num_inputs=16, num_outputs=1, lr_rate=1e-4, name="FC2"))
model.compile(loss="mean_squared_error", optimizer="sgd", metrics=["mae"])
model.fit(x, y, epochs=2, batch_size=32, callbacks=[Recorder(path, overwrite=True)])
