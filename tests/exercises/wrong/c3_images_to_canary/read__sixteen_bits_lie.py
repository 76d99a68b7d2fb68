"""Returns 16 bits before it has turned them."""


def read(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ValueError("no image") from error
    repairs = {"orientation"} if image.getexif().get(0x0112, 1) != 1 else set()
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(int)
        return (values // (16 if values.max() <= 4095 else 256)).astype(np.uint8), repairs | {"bits"}
    image = ImageOps.exif_transpose(image)
    if image.mode == "L":
        return np.asarray(image), repairs
    return np.asarray(image.convert("L")), repairs | {"mode"}
