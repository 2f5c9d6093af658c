from clearhead.generation.lookup import FEW, MANY, Lookup


def test_nothing_is_guessed_before_two_tokens_came_again():
    assert Lookup([]).guesses(9) == []
    assert Lookup([1, 2]).guesses(9) == []
    assert Lookup([1, 2, 3, 4, 2]).guesses(9) == []


def test_what_followed_last_time_is_guessed():
    assert Lookup([1, 2, 3, 4, 5, 1, 2]).guesses(9) == [3, 4][:FEW]
    assert Lookup([1, 2, 3, 9, 1, 2, 4, 9, 1, 2]).guesses(9) == [4, 9]


def test_no_more_is_guessed_than_there_is_room_for():
    lookup = Lookup([1, 2, 3, 4, 1, 2])
    assert lookup.guesses(1) == [3]
    assert lookup.guesses(0) == []
    assert lookup.guesses(-1) == []


def test_a_circle_is_followed_round():
    lookup = Lookup([7, 8, 7, 8, 7])
    lookup.checked(2, 2)
    lookup.checked(2, 2)
    assert lookup.guesses(99) == [8, 7] * (MANY // 2) + [8]


def test_one_wrong_guess_makes_them_few_again():
    lookup = Lookup([7] * 5)
    for _ in range(2):
        lookup.checked(FEW, FEW)
    assert len(lookup.guesses(99)) == MANY
    lookup.checked(MANY, MANY - 1)
    assert len(lookup.guesses(99)) == FEW
    lookup.checked(0, 0)  # a pass without guesses says nothing
    assert len(lookup.guesses(99)) == FEW
