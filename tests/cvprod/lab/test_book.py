"""What `make book` clears up before it builds."""

from cvprod.lab import book


def test_the_leftover_of_a_failed_build_goes_and_a_good_folder_stays(tmp_path):
    static = tmp_path / "_build/html/_static"
    static.parent.mkdir(parents=True)
    book.forget_failed_build(tmp_path)  # nothing there
    static.write_text("<svg/>")
    book.forget_failed_build(tmp_path)
    assert not static.exists()
    static.mkdir()
    (static / "style.css").touch()
    book.forget_failed_build(tmp_path)
    assert (static / "style.css").is_file()
