"""Numbers of parameters, counted from the papers' description, part by part."""


def dense(a, b, cells=1):
    """A map from a to b channels; the bias of a convolution counts once, not per cell."""
    return a * b * cells + b


def count_vit(w, depth, patch, side):
    """Two patch embeddings, positions, blocks."""
    norms = 2 * 2 * w
    attention = 4 * dense(w, w)
    mlp = dense(w, 4 * w) + dense(4 * w, w)
    embed = 2 * dense(3, w, patch * patch) + side * side * w
    return embed + depth * (norms + attention + mlp)


def count_pyramid(w, widths):
    """The simple feature pyramid."""
    d4, d8, d16, d32 = widths
    h4, h8, h32 = max(2 * d4, w // 2), max(d8, w // 2), max(d32, 2 * w)
    x4 = dense(w, h4, 4) + 2 * h4 + dense(h4, h4 // 2, 4) + 2 * (h4 // 2)
    x4 += dense(h4 // 2, d4) + 2 * d4
    x8 = dense(w, h8, 4) + 2 * h8 + dense(h8, d8) + 2 * d8
    x16 = dense(w, d16) + 2 * d16
    x32 = dense(w, h32, 4) + 2 * h32 + dense(h32, d32) + 2 * d32
    return x4 + x8 + x16 + x32


def count_head(widths, head):
    """The MLP head."""
    return sum(dense(d, head) for d in widths) + dense(4 * head, head) + dense(head, 1)


def count_selection(w, *, expert, mlp, reduce, ends_with_mlp):
    """One token selection; queries, keys and values have no biases."""
    look = 3 * 2 * w + 3 * w * w
    if reduce > 1:
        look += dense(w, w, reduce * reduce) + 2 * w
    look += 2 * (dense(w, expert * w) + dense(expert * w, w))
    look += dense(w, mlp * w) + dense(mlp * w, w)
    fuse = 4 * 2 * w + 2 * (3 * w * w + dense(w, w)) + w
    fuse += 2 * w + dense(w, 4 * w) + dense(4 * w, w) if ends_with_mlp else w
    return look + fuse


def count_pixel_decoder(widths, d, *, layers=4, heads=8, points=4, hidden=None):
    """The deformable pixel decoder on a pyramid."""
    hidden = 4 * d if hidden is None else hidden
    readings = heads * 3 * points
    attention = dense(d, 2 * readings) + dense(d, readings) + 2 * dense(d, d)
    layer = attention + dense(d, hidden) + dense(hidden, d) + 2 * 2 * d
    enter = sum(dense(width, d) + 2 * d for width in widths)
    leave = dense(d, d, 9) + 2 * d + dense(d, d)
    return enter + 3 * d + layers * layer + leave


def count_queries(d, *, queries=10, layers=9, hidden=None):
    """The click-aware mask decoder."""
    hidden = 8 * d if hidden is None else hidden
    layer = 2 * 4 * dense(d, d) + dense(d, hidden) + dense(hidden, d) + 3 * 2 * d
    heads = 2 * d + dense(d, 2) + 3 * dense(d, d)
    return 2 * queries * d + 3 * d + layers * layer + heads
