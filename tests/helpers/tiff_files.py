"""Write TIFF files tag by tag, without compression."""

import struct

import numpy as np

# Numbers of TIFF's tags and types.
_SHORT, _LONG, _ASCII = 3, 4, 2
_SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}


def encode_tiff(
    *pages: np.ndarray, tags: dict[int, tuple[int, ...] | str] | None = None
):
    """Return a little-endian TIFF with one strip for each page.

    Args:
        pages: [h w] or [h w c] pixels of each page.
        tags: Further tags of every page, as numbers of 16 bits or as text.
    """
    data = bytearray(b"II*\0" + struct.pack("<I", 0))
    pointer_offset = 4
    for pixels in pages:
        strip_offset = len(data)
        data += pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        data += b"\0" * (len(data) % 2)
        height, width, num_samples = (*pixels.shape, 1)[:3]
        entries = {
            256: (width,),
            257: (height,),
            258: (8 * pixels.dtype.itemsize,) * num_samples,
            259: (1,),
            262: (2 if num_samples >= 3 else 1,),
            273: (strip_offset,),
            277: (num_samples,),
            278: (height,),
            279: (pixels.nbytes,),
            339: (_SAMPLE_FORMATS[pixels.dtype.kind],) * num_samples,
        } | (tags or {})
        directory_entries = b""
        for tag, values in sorted(entries.items()):
            if isinstance(values, str):
                encoded, value_type = values.encode() + b"\0", _ASCII
                count = len(encoded)
            else:
                value_type = _LONG if max(values) > 0xFFFF else _SHORT
                count = len(values)
                letter = "I" if value_type == _LONG else "H"
                encoded = struct.pack(f"<{count}{letter}", *values)
            # Values of more than 4 bytes are stored elsewhere.
            if len(encoded) > 4:
                encoded_offset = len(data)
                data += encoded + b"\0" * (len(encoded) % 2)
                encoded = struct.pack("<I", encoded_offset)
            directory_entries += struct.pack("<HHI", tag, value_type, count)
            directory_entries += encoded.ljust(4, b"\0")
        struct.pack_into("<I", data, pointer_offset, len(data))
        data += struct.pack("<H", len(entries)) + directory_entries
        pointer_offset = len(data)
        data += struct.pack("<I", 0)
    return bytes(data)
