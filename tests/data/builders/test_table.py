from mst_jax.data.builders import BUILDERS


def test_builders_are_listed_by_their_tfds_names():
    assert {
        builder_name: builder.name for builder_name, builder in BUILDERS.items()
    } == {builder_name: builder_name for builder_name in BUILDERS}
