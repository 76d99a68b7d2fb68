"""Modes by name, shifts in place of divisions."""


def read(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(0x0112) or 1
            image.load()
            upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError("unreadable") from error
    done = set()
    if orientation > 1:
        done.add("orientation")
    if upright.mode in ("I", "I;16", "I;16B", "I;16L"):
        done.add("bits")
        values = np.array(upright, dtype=np.int32)
        return (values >> (4 if values.max() < 4096 else 8)).astype(np.uint8), done
    if upright.mode in ("L",):
        return np.array(upright), done
    done.add("mode")
    return np.array(upright.convert("RGB").convert("L")), done
