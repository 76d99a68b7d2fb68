"""By way of RGB for all that is not grey."""


def read(data):
    fixes = []
    try:
        with Image.open(io.BytesIO(data)) as im:
            o = im.getexif().get(274, 1)
            im = ImageOps.exif_transpose(im)
            im.load()
            im = im.copy()
    except Exception as e:
        raise ValueError("bad") from e
    if o not in (None, 1):
        fixes.append("orientation")
    if im.mode[0] == "I":
        a = np.array(im, dtype=np.int32)
        fixes.append("bits")
        return np.right_shift(a, 4 if a.max() < 4096 else 8).astype("u1"), frozenset(fixes)
    if im.mode != "L":
        fixes.append("mode")
        im = im.convert("RGB").convert("L")
    return np.array(im), set(fixes)
