"""The frame on the page: every box where it is, each of them named once."""

import matplotlib.pyplot as plt
import numpy as np

from cvprod.display import frame_charts


def test_boxes_lie_at_their_coordinates_and_words_stand_where_a_box_begins():
    found = [((10, 20, 90, 60), "patches 98 %"), ((250, 0, 320, 80), "scratches 51 %")]
    fig = frame_charts.frame(np.full((80, 400), 90, np.uint8), [(30, 10, 70, 70)], found, parts=2)
    left, right = fig.axes
    assert left.get_xlim() == (0, 200) and right.get_xlim() == (200, 400) and left.get_ylim() == (80, 0)
    corners = [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in left.patches]
    assert corners == [(30, 10, 40, 60), (10, 20, 80, 40), (250, 0, 70, 80)]
    assert [[text.get_text() for text in ax.texts] for ax in fig.axes] == [["patches 98 %"], ["scratches 51 %"]]
    plt.close(fig)
