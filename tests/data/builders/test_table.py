from mst_jax.data.builders import BUILDERS


def test_builders_are_known_by_the_names_tfds_gives_them():
    assert {name: builder.name for name, builder in BUILDERS.items()} == {
        name: name for name in BUILDERS
    }
