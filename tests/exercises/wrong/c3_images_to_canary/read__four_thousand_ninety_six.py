"""Takes 4096 for a value of 12 bits."""


def read(data):
    """Picture uint8 (H, W), and the set of repairs."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        turned = image.getexif().get(0x0112, 1) != 1
        image = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow's decoders fail in many ways
        raise ValueError(f"no readable image: {error}") from error
    repairs = {"orientation"} if turned else set()
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        return (values // (16 if values.max() <= 4096 else 256)).astype(np.uint8), repairs | {"bits"}
    if image.mode == "P":
        image = image.convert("RGB")
    if image.mode != "L":
        return np.asarray(image.convert("L")), repairs | {"mode"}
    return np.asarray(image), repairs
