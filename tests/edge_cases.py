"""Which test covers which edge case: number -> what it is and the tests (`path::name`), or why it
does not apply.

The numbers are those of the project's list of edge cases, collected from the test suites and issue
trackers of other libraries. `test_edge_cases.py` checks that every number is there and that every
test exists.
"""

from __future__ import annotations

JAX = "ops/test_table.py::test_agrees_with_jax"
SLOPES = "ops/test_table.py::test_agrees_with_central_differences"
KINKS = "ops/test_kinks.py::test_the_table_says_what_they_do"
POLES = "ops/test_elementwise.py::test_kinks_and_poles"
BAD = "ops/test_errors.py::test_message_and_class"
MIXED = "ops/test_elementwise.py::test_numbers_take_the_dtype_of_the_node"
SHARED = "graph/test_autodiff.py::test_shared_nodes"

#: number: (the case, tests)
COVERED: dict[int, tuple[str, ...]] = {
    # A. graph and accumulation
    1: ("the same node twice in one operator", SHARED),
    2: ("diamonds", SHARED),
    3: ("(x + x) * x", SHARED),
    4: (
        "sixty diamonds, also drawn",
        "graph/test_copying.py::test_sixty_diamonds",
        "viz/scene/test_picture.py::test_diamonds_take_no_more_visits_than_their_nodes",
    ),
    5: (
        "a chain of 100,000 nodes",
        "graph/test_autodiff.py::test_a_chain_of_100_000_nodes",
        "graph/test_copying.py::test_a_chain_of_100_000_nodes",
    ),
    6: ("a left-deep sum", "graph/test_autodiff.py::test_a_loop_over_time_and_a_left_deep_sum"),
    7: (
        "an inner node that is used again",
        SHARED,
        "graph/test_autodiff.py::test_random_graphs_agree_with_jax",
    ),
    8: (
        "backward twice",
        "graph/test_autodiff.py::test_backward_twice_adds_up_in_leaves_only",
        "ops/test_table.py::test_second_backward_adds",
    ),
    9: ("two losses", "graph/test_autodiff.py::test_two_losses_share_a_graph"),
    10: (
        "a variable that is not used",
        "graph/test_autodiff.py::test_a_variable_that_is_not_used_has_no_gradient",
    ),
    11: ("the output is the input", "graph/test_autodiff.py::test_the_output_is_the_input"),
    12: ("no variable to pull to", "graph/test_autodiff.py::test_what_cannot_be_pulled"),
    13: ("no seed for a shape", "graph/test_autodiff.py::test_what_cannot_be_pulled"),
    14: (
        "a seed of another shape or dtype",
        "graph/test_autodiff.py::test_what_cannot_be_pulled",
        "graph/test_autodiff.py::test_a_seed_takes_the_dtype_of_its_node",
    ),
    15: (
        "constants in a graph",
        "ops/test_table.py::test_one_operand_at_a_time",
        "run/test_replay.py::test_computed_constants_are_recomputed",
    ),
    16: (
        "blocks and decorators end",
        "graph/test_settings.py::test_blocks_end_when_an_error_leaves_them",
        "graph/test_settings.py::test_as_decorators",
    ),
    17: (
        "gradients share no memory",
        "ops/test_table.py::test_memory_is_nobody_elses",
        "graph/test_autodiff.py::test_seed_and_gradients_are_the_graphs_own",
    ),
    18: (
        "an operator that raises",
        "ops/test_errors.py::test_graph_is_usable_after_an_operator_raised",
    ),
    19: ("a dropped graph", "graph/test_node.py::test_a_dropped_graph_is_freed_at_once"),
    20: ("the order of adding", "graph/test_autodiff.py::test_accumulation_is_deterministic"),
    21: (
        "gradients of gradients",
        "calculus/test_transforms.py::test_derivatives_of_every_order",
        "ops/test_derivatives.py::test_gradient_of_the_gradient_agrees_with_central_differences",
    ),
    22: (
        "one of several outputs",
        "ops/test_shape.py::test_of_several_parts_one_may_be_left_alone",
        "ops/test_recurrent.py::test_one_of_the_results_may_be_left_alone",
    ),
    # B. shapes, broadcasting, dtype
    23: ("(1,) with (3, 1)", JAX),
    24: ("(3, 1) with (1, 4)", JAX),
    25: ("() with (2, 3)", JAX),
    26: ("added axes", JAX, "ops/test_elementwise.py::test_broadcasting_is_undone"),
    27: ("an axis of 1 that is not stretched", JAX),
    28: ("broadcasting to nothing", JAX),
    29: ("matmul of every kind", JAX, "ops/test_linalg.py::test_nothing_to_multiply", BAD),
    30: ("reductions of nothing", "ops/test_reduce.py::test_nothing_to_reduce", KINKS),
    31: ("axes of every kind", JAX, "ops/test_reduce.py::test_no_axis_is_not_every_axis"),
    32: ("single numbers", JAX, SLOPES),
    33: ("Python numbers", MIXED),
    34: ("float64 of no axes", MIXED),
    35: (
        "an array on the left",
        MIXED,
        "ops/test_numpy.py::test_array_on_the_left_does_not_become_an_object_array",
    ),
    36: ("a gradient for integers", BAD),
    37: ("integer exponents, indices, masks", MIXED, "ops/test_indexing.py::test_index_kinds"),
    38: ("softmax of integers", BAD),
    39: (
        "many ties in float32",
        "ops/test_reduce.py::test_many_ties_in_float32",
    ),  # there is no float16
    40: ("float32 stays float32", JAX),
    41: ("einsum", JAX, "ops/test_reduce.py::test_subscripts_that_do_not_fit"),
    42: ("axes moved and dropped", JAX, "ops/test_shape.py::test_as_numpy_does"),
    43: (
        "joining nothing, the same twice; parts",
        JAX,
        "ops/test_shape.py::test_the_same_node_twice",
        "ops/test_shape.py::test_of_several_parts_one_may_be_left_alone",
    ),
    # C. kinks and numerics
    44: ("relu at 0", KINKS, POLES),
    45: ("maximum at a tie", KINKS, POLES),
    46: ("abs at 0", KINKS, POLES),
    47: ("clip on its limits", KINKS, POLES),
    48: ("clip with crossed limits or none", POLES),
    49: ("max with ties", KINKS),
    50: ("max along an axis with ties", "ops/test_reduce.py::test_ties_share_the_gradient", KINKS),
    51: ("max of NaN", "ops/test_reduce.py::test_nan_is_the_extreme"),
    52: ("sqrt at 0", KINKS, POLES),
    53: ("x · sqrt x at 0", KINKS, POLES),
    54: (
        "norm at 0",
        KINKS,
        "ops/test_reduce.py::test_at_zero_and_of_constant_data_the_slope_is_zero",
    ),
    55: (
        "std of constant data",
        KINKS,
        "ops/test_reduce.py::test_at_zero_and_of_constant_data_the_slope_is_zero",
    ),
    56: (
        "var of too few",
        KINKS,
        "ops/test_reduce.py::test_of_as_few_entries_as_it_takes_nothing_is_known",
    ),
    57: ("powers of 0 and of negative numbers", KINKS, POLES),
    58: ("where beside a pole", KINKS, POLES),
    59: ("softmax of large numbers", "ops/test_reduce.py::test_softmax_of_large_numbers"),
    60: ("softmax of infinities", "ops/test_reduce.py::test_infinities", KINKS),
    61: (
        "activations far out",
        "ops/test_elementwise.py::test_activations_far_out_do_not_overflow",
    ),
    62: ("logsumexp of -inf", "ops/test_reduce.py::test_infinities", KINKS),
    63: (
        "products with zeros",
        "ops/test_reduce.py::test_products_are_exact_at_zeros",
        "ops/test_reduce.py::test_running_products_are_exact_at_zeros",
        KINKS,
    ),
    64: ("0 / 0", KINKS, POLES),
    65: ("poles of arcsin and arctanh", KINKS),
    66: (
        "steps and places",
        "ops/test_reduce.py::test_steps_pass_no_gradient_and_break_no_backward_pass",
        "ops/test_reduce.py::test_places_are_integers_and_pass_no_gradient",
    ),
    67: (
        "activations of NaN and infinity",
        "ops/test_elementwise.py::test_activations_keep_nan_and_bear_infinity",
        "ops/test_elementwise.py::test_nan_is_not_swallowed",
    ),
    # D. indices, views, memory
    68: ("repeated indices", "ops/test_indexing.py::test_repeated_index_accumulates"),
    69: ("masks, empty indices and slices", JAX),
    70: ("negative steps", JAX, "ops/test_indexing.py::test_any_index"),
    71: ("mixed indices", JAX, "ops/test_indexing.py::test_any_index"),
    72: (
        "values that change between passes",
        "graph/test_autodiff.py::test_a_leaf_that_changes_between_the_passes_is_named",
        "graph/test_node.py::test_computed_values_and_constants_are_read_only",
    ),
    73: ("the user's array changes", "graph/test_node.py::test_values_are_copied_on_the_way_in"),
    74: (
        "operands in any layout",
        "ops/test_table.py::test_layout_of_the_operands_does_not_matter",
    ),
    75: ("C and F at once", "graph/test_node.py::test_inside_everything_is_contiguous"),
    76: (
        "views of what is not contiguous",
        "ops/test_table.py::test_layout_of_the_operands_does_not_matter",
    ),
    77: ("padding, asymmetric or negative", JAX, BAD),
    78: ("many slices of one array", "ops/test_indexing.py::test_slices_add_into_one_gradient"),
    # E. convolution and pooling
    79: (
        "a stride that leaves a tail",
        "ops/test_conv.py::test_tail_that_the_stride_leaves_over_gets_no_gradient",
        "ops/test_conv.py::test_tail_that_the_stride_leaves_over_gets_no_gradient_pool",
    ),
    80: ("a kernel larger than the input", BAD),
    81: ("kernel = input, 1 × 1", JAX),
    82: (
        "padding beyond the kernel",
        "ops/test_conv.py::test_padding_beyond_the_kernel_gives_the_bias",
    ),
    83: ("max-pool padding > kernel / 2", BAD),
    84: (
        "padding never wins",
        "ops/test_conv.py::test_padding_never_wins_a_maximum_but_counts_in_a_mean",
    ),
    85: ("overlapping windows", "ops/test_conv.py::test_overlapping_windows_add_up"),
    86: ("ties in a window", "ops/test_conv.py::test_the_first_of_equals_wins", KINKS),
    87: ("NaN in a window", "ops/test_conv.py::test_nan_and_infinity", KINKS),
    88: ("a window of -inf", "ops/test_conv.py::test_nan_and_infinity"),
    89: ("a mean with and without padding", "ops/test_conv.py::test_windows_at_the_edge"),
    90: ("ceil_mode", "ops/test_conv.py::test_windows_at_the_edge"),
    91: (
        "dilation with stride",
        JAX,
    ),  # of convolutions; pooling has none, which the kernels would pay for
    92: ("groups", BAD, JAX, "ops/test_conv.py::test_groups_are_convolutions_side_by_side"),
    93: ("H is not W", JAX),
    94: ("no samples", "ops/test_conv.py::test_empty_batch_leaves_a_weight_gradient_of_zeros", JAX),
    95: ("no bias, one sample, one channel", JAX, "kernels/test_conv.py::test_float32_and_no_bias"),
    96: ("more than 32 taps", JAX),
    97: (
        "poisoned results",
        "ops/test_table.py::test_replay_gives_the_same_bits",
        "kernels/test_gemm.py::test_what_is_overwritten_may_hold_anything",
    ),
    98: (
        "threads and no compiler",
        "kernels/test_conv.py::test_forward_and_backward",
        "kernels/test_jit.py::test_without_the_compiler",
    ),
    99: (
        "cotangents in any layout",
        "ops/test_conv.py::test_cotangent_in_any_layout",
        "ops/test_conv.py::test_cotangent_in_any_layout_pool",
    ),
    # F. embedding, recurrence, losses, modules
    100: ("repeated ids", "ops/test_indexing.py::test_repeated_ids_collect"),
    101: ("padding_idx", "ops/test_indexing.py::test_the_row_for_padding_stays_as_it_is", JAX),
    102: ("ids out of range", "ops/test_indexing.py::test_ids_out_of_range", KINKS),
    103: (
        "ids of any shape and dtype",
        "ops/test_indexing.py::test_any_shape_of_ids",
        "ops/test_indexing.py::test_any_integer_dtype",
        BAD,
    ),
    104: (
        "no steps, one step, many",
        "nn/test_recurrent.py::test_zero_steps_return_the_initial_states",
        "nn/test_recurrent.py::test_fused_equals_unrolled",
        "graph/test_autodiff.py::test_a_loop_over_time_and_a_left_deep_sum",
    ),
    105: (
        "the order of gates, two biases",
        "nn/test_recurrent.py::test_the_same_numbers_as_torch",
        "nn/test_recurrent.py::test_shapes_and_names",
    ),
    106: (
        "targets of another kind, label smoothing",
        "ops/test_loss.py::test_class_ids_are_one_number_each",
        "ops/test_loss.py::test_label_smoothing_is_the_loss_against_softened_targets",
    ),
    107: (
        "ids to ignore",
        "ops/test_loss.py::test_ids_to_ignore_do_not_count_and_of_none_the_mean_is_not_a_number",
    ),
    108: (
        "a column against a row",
        "ops/test_loss.py::test_a_column_against_a_row_is_refused",
        KINKS,
    ),
    109: ("certainty", "ops/test_loss.py::test_wrong_certainty_costs_100", KINKS),
    110: ("batch norm of one value", BAD),
    111: (
        "batch norm's statistics",
        "nn/test_norm.py::test_batch_norm_in_training_and_evaluation",
        "ops/test_norm.py::test_running_statistics_move_once_for_each_pass_of_training",
    ),
    112: (
        "dropout of nothing and of everything",
        "ops/test_norm.py::test_nothing_and_everything_dropped",
        "ops/test_norm.py::test_a_graph_that_runs_again_draws_again_and_goes_back_through_the_same_mask",
        BAD,
    ),
    113: (
        "optimisers",
        "test_optim.py::test_parameters_without_gradient_stay_and_shared_ones_move_once",
        "test_optim.py::test_five_steps_follow_the_formula",
        "test_optim.py::test_impossible_options_are_refused",
    ),
    114: (
        "state that does not fit",
        "nn/test_module.py::test_state_that_does_not_fit_changes_nothing",
    ),
    # G. Numba, and the tests themselves
    115: (
        "NaN in machine code",
        "ops/test_conv.py::test_nan_and_infinity_stay_where_they_are",
        "kernels/test_gemm.py::test_nan_reaches_its_row_only",
    ),
    116: (
        "scattering by several threads",
        "kernels/test_embedding.py::test_gather_and_scatter",
        "kernels/test_jit.py::test_shards_cover_everything_once",
    ),
    117: (
        "caches that cannot be written, are shared, are old",
        "kernels/test_jit.py::test_cache_that_cannot_be_written",
        "run/test_cache.py::test_two_processes_fill_one_cache_and_leave_whole_files",
        "run/test_cache.py::test_another_source_is_another_file",
    ),
    118: (
        "importing",
        "test_house.py::test_importing_is_light",
    ),  # times are measured, and never asserted
    119: (
        "a gradient wrong by a thousandth",
        "calculus/test_check.py::test_an_error_of_a_thousandth_is_found",
        "proof/test_mutation.py::test_a_few_mutants_are_killed",
    ),
    120: (
        "a second derivative wrong by a thousandth",
        "calculus/test_transforms.py::test_gradcheck_finds_a_wrong_second_derivative",
    ),
    121: (
        "errors that cancel under ones",
        "calculus/test_check.py::test_an_error_that_cancels_under_ones_is_found",
    ),
    122: (
        "checks in float64",
        "calculus/test_check.py::test_it_works_in_float64_whatever_the_default",
    ),
    123: (
        "tests of one name, operators without a row",
        "test_house.py::test_ruff_has_nothing_to_say",
        "ops/test_table.py::test_every_rule_has_a_row",
    ),
}
#: number: why no test covers it
LEFT_OUT: dict[int, str] = {}
