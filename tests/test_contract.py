"""The public names that users rely on."""

import pytest

import minigrad as mg

NAMES = {
    mg: """
        GraphNode Constant Variable Operator ScalarOperator BroadcastedOperator topological_sort
        forward backward Graph no_grad default_dtype gradcheck exp log sqrt sin cos tanh sigmoid
        relu leaky_relu softplus gelu abs maximum minimum where clip sum mean max min logsumexp
        softmax log_softmax reshape transpose concatenate stack pad flatten broadcast_to matmul
        conv1d conv2d conv_transpose1d conv_transpose2d reverse_sequence
        max_pool1d max_pool2d avg_pool1d avg_pool2d embedding rnn lstm gru dropout
        batch_norm layer_norm mse_loss cross_entropy binary_cross_entropy
        binary_cross_entropy_with_logits Trainer save load operator grad jvp jacobian tan arcsin
        arccos arctan sinh cosh arcsinh arccosh arctanh expm1 log1p log2 log10 square reciprocal
        floor ceil trunc rint isnan isinf isfinite logical_and logical_or logical_not prod norm
        var std argmax argmin cumsum cumprod einsum moveaxis swapaxes squeeze expand_dims split
        repeat tile hstack vstack outer diag tril triu flip roll take take_along_axis sort argsort
        zeros_like ones_like full_like remainder floor_divide detach astype silu elu nll_loss
        smooth_l1_loss hinge_loss kl_div
        draw summary export_onnx manual_seed kernel_info ShapeError DTypeError GraphError
    """,
    mg.nn: """
        Module Sequential Linear Conv1d Conv2d MaxPool1d MaxPool2d AvgPool1d AvgPool2d Flatten
        Embedding RNN LSTM GRU ReLU Tanh Sigmoid BatchNorm1d BatchNorm2d LayerNorm Dropout
        Buffer init RNNCell LSTMCell GRUCell ConvTranspose1d ConvTranspose2d Upsample
        AdaptiveAvgPool1d AdaptiveAvgPool2d GroupNorm MultiheadAttention GELU LeakyReLU SiLU ELU
        Softmax Identity Lambda CrossEntropyLoss MSELoss BCELoss BCEWithLogitsLoss
    """,
    mg.optim: "SGD Adam AdamW RMSprop lr_scheduler",
    mg.random: "normal uniform bernoulli",
    mg.optim.lr_scheduler: """
        StepLR MultiStepLR ExponentialLR LinearLR CosineAnnealingLR OneCycleLR ReduceLROnPlateau
        LRScheduler
    """,
    mg.train: """
        Trainer cross_validate grid_search History EarlyStopping SaveBest LogEpochs CSVLogger
        metrics
    """,
    mg.train.metrics: "accuracy confusion f1 mean_absolute_error top_k",
    mg.data: "circle mnist imdb read_idx",
    mg.viz: "draw paths",
    mg.interop: "export_onnx to_torch from_torch",
    mg.sklearn: "MinigradClassifier MinigradRegressor",
    mg.teach: "predict check NotYet",
}


@pytest.mark.parametrize("module", NAMES, ids=lambda module: module.__name__)
def test_every_name_is_there_and_documented(module):
    for name in NAMES[module].split():
        assert (getattr(module, name).__doc__ or "").strip(), name


def test_errors_are_the_built_in_ones_too():
    assert issubclass(mg.ShapeError, ValueError)
    assert issubclass(mg.DTypeError, TypeError)
    assert issubclass(mg.GraphError, RuntimeError)
