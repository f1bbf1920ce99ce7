"""Healthy programs with many kinds of layers: dense, convolutional, recurrent, attending."""

from ..program import Program
from .notation import (
    BARS,
    BINARY,
    DIGIT_IMAGES,
    DIGITS,
    FAST_ADAM,
    FLAT,
    FRIEDMAN,
    INFORMATIVE,
    NORM,
    ONEHOT,
    POOL,
    SENTENCES,
    SPARSE,
    TAGS,
    WAVES,
    conv,
    dense,
    head,
    layer,
    program,
)

PROGRAMS: dict[str, Program] = {
    # Activations, depth, regularisation.
    "mlp_tanh": program(
        (*dense(48, 24, activation="tanh"), head(10, "softmax")), SPARSE, DIGITS, n_epochs=8
    ),
    "mlp_sigmoid": program(
        (*dense(32, activation="sigmoid"), head(10, "softmax")), SPARSE, DIGITS, n_epochs=12,
        optimizer=FAST_ADAM,
    ),
    "mlp_elu": program(
        (*dense(48, 24, activation="elu"), head(4, "softmax")), SPARSE,
        {**INFORMATIVE, "coding": "sparse"}, n_epochs=16,
    ),
    "mlp_deep": program(
        (*dense(*[32] * 6, kernel_initializer="he_normal"), head(10, "softmax")), SPARSE, DIGITS,
        n_epochs=10,
    ),
    "mlp_batchnorm": program(
        (
            layer("Dense", units=48, use_bias=False), NORM, layer("Activation", activation="relu"),
            layer("Dense", units=24, use_bias=False), NORM, layer("Activation", activation="relu"),
            head(10, "softmax"),
        ),
        SPARSE, DIGITS, n_epochs=8,
    ),
    "mlp_dropout": program(
        (*dense(96), layer("Dropout", rate=0.4), *dense(48), layer("Dropout", rate=0.4),
         head(10, "softmax")),
        SPARSE, DIGITS, n_epochs=10,
    ),
    "mlp_weight_decay": program(
        (*dense(48, 24, kernel_regularizer="l2"), head(4, "softmax")), SPARSE,
        {**INFORMATIVE, "coding": "sparse"}, n_epochs=16,
    ),
    "mlp_layernorm": program(
        (*dense(48), layer("LayerNormalization"), *dense(24, activation="gelu"),
         head(6, "sigmoid")),
        BINARY, TAGS, n_epochs=20,
    ),
    "self_normalising": program(
        (*dense(48, 24, activation="selu", kernel_initializer="lecun_normal"), head(1)), "mse",
        FRIEDMAN, n_epochs=20,
    ),
    "mlp_leaky": program(
        (layer("Dense", units=48), layer("LeakyReLU"), layer("Dense", units=24), layer("PReLU"),
         head(10, "softmax")),
        SPARSE, DIGITS, n_epochs=8,
    ),
    "mlp_gaussian_noise": program(
        (layer("GaussianNoise", stddev=0.2), *dense(48), head(4, "softmax")), SPARSE,
        {**INFORMATIVE, "coding": "sparse"}, n_epochs=16,
    ),
    "random_features": program(
        (*dense(128, trainable=False), head(10, "softmax")), SPARSE, DIGITS, n_epochs=10
    ),
    "linear_autoencoder": program(
        (*dense(16, activation="linear"), head(64)), "mse", {"name": "digit_copies"}, n_epochs=15
    ),
    # Images.
    "cnn_digits": program(
        (conv(8), POOL, conv(16), FLAT, head(10, "softmax")), SPARSE, DIGIT_IMAGES, n_epochs=8
    ),
    "cnn_bars": program(
        (conv(8), POOL, conv(16), POOL, FLAT, *dense(32), head(3, "softmax")), ONEHOT,
        {**BARS, "coding": "onehot"}, n_epochs=20,
    ),
    "cnn_batchnorm": program(
        (
            conv(8, activation="linear"), NORM, layer("ReLU"), POOL,
            conv(16, activation="linear"), NORM, layer("ReLU"),
            layer("GlobalAveragePooling2D"), head(10, "softmax"),
        ),
        SPARSE, DIGIT_IMAGES, n_epochs=10,
    ),
    "cnn_residual": program(
        (
            conv(8, padding="same"),
            layer("Residual", layers=(conv(8, padding="same"), conv(8, padding="same"))),
            layer("Residual", layers=(conv(8, padding="same"), NORM)),
            POOL, FLAT, head(10, "softmax"),
        ),
        SPARSE, DIGIT_IMAGES, n_epochs=6,
    ),
    "cnn_denoising": program(
        (conv(8, padding="same"), conv(8, padding="same"),
         conv(1, padding="same", activation="sigmoid")),
        "mse", {"name": "denoising", "n": 320, "side": 12}, n_epochs=25, batch_size=16,
    ),
    "autoencoder": program(
        (*dense(32, 12), *dense(32), head(64, "sigmoid")), "mse", {"name": "digit_copies"},
        n_epochs=10,
    ),
    "cnn_dropout": program(
        (conv(8), layer("SpatialDropout2D", rate=0.2), POOL, FLAT, *dense(32),
         layer("Dropout", rate=0.3), head(10, "softmax")),
        SPARSE, DIGIT_IMAGES, n_epochs=10,
    ),
    "cnn_regression": program(
        (conv(8), POOL, conv(8), layer("GlobalAveragePooling2D"), *dense(16), head(1)), "mse",
        {"name": "brightness", "n": 480, "side": 12}, n_epochs=25,
    ),
    # Sequences.
    "lstm_waves": program(
        (layer("LSTM", units=16), head(3, "softmax")), SPARSE, WAVES, n_epochs=25,
        optimizer=FAST_ADAM,
    ),
    "gru_forecast": program(
        (layer("GRU", units=16), head(1)), "mse", {"name": "forecast", "n": 480, "length": 16},
        n_epochs=20,
    ),
    "rnn_waves": program(
        (layer("SimpleRNN", units=24), head(3, "softmax")), ONEHOT, {**WAVES, "coding": "onehot"},
        n_epochs=25,
    ),
    "conv1d_waves": program(
        (
            layer("Conv1D", filters=12, kernel_size=5, activation="relu"),
            layer("MaxPooling1D", pool_size=2),
            layer("Conv1D", filters=12, kernel_size=3, activation="relu"),
            layer("GlobalMaxPooling1D"), head(3, "softmax"),
        ),
        SPARSE, WAVES, n_epochs=20,
    ),
    "embedding": program(
        (layer("Embedding", input_dim=200, output_dim=16), layer("GlobalAveragePooling1D"),
         *dense(16), head(1, "sigmoid")),
        BINARY, SENTENCES, n_epochs=20,
    ),
    "embedding_lstm": program(
        (layer("Embedding", input_dim=200, output_dim=16), layer("LSTM", units=16),
         head(4, "softmax")),
        SPARSE, {**SENTENCES, "coding": "sparse"}, n_epochs=20,
        optimizer=FAST_ADAM,
    ),
    "bidirectional_tagging": program(
        (
            layer("Embedding", input_dim=30, output_dim=16),
            layer("Bidirectional", layer={"class": "GRU", "units": 16, "return_sequences": True}),
            head(3, "softmax"),
        ),
        SPARSE, {"name": "tagging", "n": 400, "length": 10}, n_epochs=30,
        optimizer=FAST_ADAM,
    ),
    "transformer": program(
        (
            layer("TokensAndPlaces", n_tokens=200, length=20, width=16),
            layer("SelfAttention", n_heads=2, width=16),
            layer("GlobalAveragePooling1D"), head(4, "softmax"),
        ),
        SPARSE, {**SENTENCES, "coding": "sparse"}, n_epochs=15,
    ),
    "stacked_lstm": program(
        (layer("LSTM", units=12, return_sequences=True), layer("LSTM", units=12),
         head(3, "softmax")),
        SPARSE, WAVES, n_epochs=25, optimizer=FAST_ADAM,
    ),
}  # fmt: skip
