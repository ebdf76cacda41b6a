from nucseg_models.data.errors import bad_input


def test_a_short_list_is_given_whole_with_what_would_work():
    assert str(bad_input("2 images are bad", ["a.png", "b.png"], "Remove them.")) == (
        "2 images are bad:\n  a.png\n  b.png\nRemove them."
    )


def test_a_long_list_names_ten_and_counts_the_rest():
    lines = str(bad_input("bad", [f"{i}.png" for i in range(13)], "Remove them.")).splitlines()
    assert lines[10:] == ["  9.png", "  ... and 3 more", "Remove them."]
