"""Stretches each picture to its brightest pixel, so that no two have the same scale."""


def read(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ValueError("no image") from error
    repairs = {"orientation"} if image.getexif().get(0x0112, 1) != 1 else set()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(float)
        return (255 * values / values.max()).astype(np.uint8), repairs | {"bits"}
    if image.mode == "L":
        return np.asarray(image), repairs
    return np.asarray(image.convert("L")), repairs | {"mode"}
