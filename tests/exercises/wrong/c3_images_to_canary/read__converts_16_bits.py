"""Lets Pillow convert 16 bits, which clips everything above 255 to white."""


def read(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:
        raise ValueError("no image") from error
    repairs = {"orientation"} if image.getexif().get(0x0112, 1) != 1 else set()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        repairs.add("bits")
    elif image.mode != "L":
        repairs.add("mode")
    return np.asarray(image.convert("L")), repairs  # clips at 255
