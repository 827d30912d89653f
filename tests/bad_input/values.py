"""Values of any type that JSON has, and text that no one should type, as strategies."""

from hypothesis import strategies as st

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [10**400, -(2**63), 1e308, -0.0, "", "../../../etc/passwd", "/", "\x1b[2J", "a\nb", "\ud800", "NaN"]
    ),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
