# Test images for models trained on `sample_ten.py`: other objects of its ten categories, other backgrounds.
_base_ = "sample_ten.py"
group = "held_out"
segments = dict(
    include=[
        *("airplane/red_airplane", "apple/green_apple", "book/orange_book", "book/red_book", "camel/two_humped_camel"),
        *("car/red_car", "car/red_car_front", "dog/service_dog", "padlock/closed_padlock", "shirt/green_shirt"),
        *("sports_ball/softball", "truck/green_truck"),
    ]
)
