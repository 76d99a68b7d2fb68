"""Averages the channels, transparency among them, in place of luma."""


def read(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ValueError("no image") from error
    repairs = {"orientation"} if image.getexif().get(0x0112, 1) != 1 else set()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(int)
        return (values // (16 if values.max() <= 4095 else 256)).astype(np.uint8), repairs | {"bits"}
    if image.mode == "L":
        return np.asarray(image), repairs
    values = np.asarray(image)
    return (values.mean(-1) if values.ndim == 3 else values).astype(np.uint8), repairs | {"mode"}
