"""Number of parameters of each part of a model, counted from the papers' description."""


def count_dense(in_width, out_width, kernel_area=1):
    """Count a map between channels; the bias of a convolution counts once, not per cell."""
    return in_width * out_width * kernel_area + out_width


def count_vit(width, depth, patch_size, grid_side):
    """Count two patch embeddings, the positions and the blocks of a ViT."""
    norms = 2 * 2 * width
    attention = 4 * count_dense(width, width)
    mlp = count_dense(width, 4 * width) + count_dense(4 * width, width)
    patch_embeddings = 2 * count_dense(3, width, patch_size * patch_size)
    positions = grid_side * grid_side * width
    return patch_embeddings + positions + depth * (norms + attention + mlp)


def count_pyramid(width, level_widths):
    """Count the simple feature pyramid."""
    d4, d8, d16, d32 = level_widths
    h4, h8, h32 = max(2 * d4, width // 2), max(d8, width // 2), max(d32, 2 * width)
    level4 = count_dense(width, h4, 4) + 2 * h4
    level4 += count_dense(h4, h4 // 2, 4) + 2 * (h4 // 2)
    level4 += count_dense(h4 // 2, d4) + 2 * d4
    level8 = count_dense(width, h8, 4) + 2 * h8 + count_dense(h8, d8) + 2 * d8
    level16 = count_dense(width, d16) + 2 * d16
    level32 = count_dense(width, h32, 4) + 2 * h32 + count_dense(h32, d32) + 2 * d32
    return level4 + level8 + level16 + level32


def count_mlp_head(level_widths, head_width):
    """Count the MLP head."""
    projections = sum(count_dense(width, head_width) for width in level_widths)
    mixing = count_dense(4 * head_width, head_width)
    return projections + mixing + count_dense(head_width, 1)


def count_token_selection(width, *, expert_ratio, mlp_ratio, pool_size, use_mlp):
    """Count one token selection; its queries, keys and values have no biases."""
    # Attention from fine and coarse tokens to the base tokens, with two experts.
    scoring = 3 * 2 * width + 3 * width * width
    if pool_size > 1:
        scoring += count_dense(width, width, pool_size * pool_size) + 2 * width
    expert_width, mlp_width = expert_ratio * width, mlp_ratio * width
    scoring += 2 * (count_dense(width, expert_width) + count_dense(expert_width, width))
    scoring += count_dense(width, mlp_width) + count_dense(mlp_width, width)
    # Attention from fine to coarse tokens, and from base to fused tokens.
    fusion = 4 * 2 * width
    fusion += 2 * (3 * width * width + count_dense(width, width)) + width
    if use_mlp:
        fusion += 2 * width
        fusion += count_dense(width, 4 * width) + count_dense(4 * width, width)
    else:
        fusion += width
    return scoring + fusion


def count_pixel_decoder(
    level_widths, width, *, num_layers=4, num_heads=8, num_points=4, mlp_hidden=None
):
    """Count the deformable pixel decoder on top of a pyramid."""
    mlp_hidden = 4 * width if mlp_hidden is None else mlp_hidden
    num_samples = num_heads * 3 * num_points
    attention = count_dense(width, 2 * num_samples) + count_dense(width, num_samples)
    attention += 2 * count_dense(width, width)
    mlp = count_dense(width, mlp_hidden) + count_dense(mlp_hidden, width)
    layer = attention + mlp + 2 * 2 * width
    projections = sum(
        count_dense(level_width, width) + 2 * width for level_width in level_widths
    )
    mask_features = count_dense(width, width, 9) + 2 * width + count_dense(width, width)
    level_embeddings = 3 * width
    return projections + level_embeddings + num_layers * layer + mask_features


def count_mask_decoder(width, *, num_queries=10, num_layers=9, mlp_hidden=None):
    """Count the click-aware mask decoder."""
    mlp_hidden = 8 * width if mlp_hidden is None else mlp_hidden
    attentions = 2 * 4 * count_dense(width, width)
    mlp = count_dense(width, mlp_hidden) + count_dense(mlp_hidden, width)
    layer = attentions + mlp + 3 * 2 * width
    heads = 2 * width + count_dense(width, 2) + 3 * count_dense(width, width)
    return 2 * num_queries * width + 3 * width + num_layers * layer + heads
