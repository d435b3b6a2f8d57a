# Ten categories of the bundled sample, in images so small that a detector learns them in minutes on two cores.
# `sample_ten_held_out.py` generates the test images, with other objects of the same categories.
_base_ = "sample_detection.py"
canvas = (128, 128)
objects = dict(
    airplane=["gray_airplane"],
    apple=["red_apple"],
    book=["blue_book", "green_book", "dark_notebook", "yellow_notebook"],
    camel=["one_humped_camel"],
    car=["blue_suv", "police_car", "police_car_front", "racing_car", "yellow_taxi", "yellow_taxi_front"],
    dog=["dog_face", "gray_poodle", "guide_dog", "tan_dog"],
    padlock=["open_padlock"],
    shirt=["pink_shirt"],
    sports_ball=["american_football", "basketball", "soccer_ball"],
    truck=["delivery_truck", "fire_truck", "red_pickup"],
)
segments = dict(
    type="sample",
    group="all",
    include=[f"{category}/{name}" for category, names in objects.items() for name in names],
)
layout = dict(
    counts=(1, 4),
    shares=dict(large=0.6, medium=0.4, small=0.0),
    areas=dict(large=(0.08, 0.4), medium=(0.03, 0.08), small=(0.01, 0.03)),
)
formats = ["coco"]
del objects
