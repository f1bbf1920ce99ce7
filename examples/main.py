"""Train a small network on scikit-learn's handwritten digits, in the original's style."""

import numpy as np
from sklearn.datasets import load_digits

from deeplocalize.recorder.numpynet import Dense, ReLu, Sequential, softmax

digits = load_digits()
x = digits.data / 16.0
y = np.eye(10)[digits.target]
order = np.random.default_rng(0).permutation(len(x))
x_train, y_train = x[order[:1500]], y[order[:1500]]
x_test, y_test = x[order[1500:]], y[order[1500:]]

lr = 0.1
model = Sequential(seed=0)
model.add(Dense(num_inputs=64, num_outputs=64, lr_rate=lr, name="FC1"))
model.add(ReLu())
model.add(Dense(num_inputs=64, num_outputs=10, lr_rate=lr, name="FC2"))
model.add(softmax())
model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])
model.summary()
model.fit(x_train, y_train, epochs=20, batch_size=32)

loss, accuracy = model.evaluate(x_test, y_test)
print(f"test: loss {loss:.4f}, accuracy {accuracy:.4f}")
