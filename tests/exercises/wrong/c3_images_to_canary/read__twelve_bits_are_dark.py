"""Takes 12 bits in 16 for 16 bits: nearly black steel."""


def read(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ValueError("no image") from error
    repairs = {"orientation"} if image.getexif().get(0x0112, 1) != 1 else set()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        return (np.asarray(image).astype(int) >> 8).astype(np.uint8), repairs | {"bits"}
    if image.mode == "L":
        return np.asarray(image), repairs
    return np.asarray(image.convert("L")), repairs | {"mode"}
