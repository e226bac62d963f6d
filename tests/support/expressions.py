"""Schedules that hypothesis makes up: lists, ranges and steps in every field."""

from hypothesis import strategies as st


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    # Of two ends: cronsim takes `5-5/2` for `5-59/2`.
    spans = st.sets(number, min_size=2, max_size=2).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.integers(1, max(2, high // 2))
    item = st.one_of(
        number.map(str), spans, st.builds("{}/{}".format, spans, steps), st.builds("*/{}".format, steps)
    )
    return st.one_of(st.just("*"), item, st.lists(item, min_size=2, max_size=3).map(",".join))


expressions = st.builds(
    "{} {} {} {} {}".format,
    fields(0, 59),
    st.one_of(fields(0, 4), fields(0, 23)),
    st.one_of(st.just("*"), fields(1, 31)),
    st.sampled_from(["*", "*/3", "2-11", "mar,apr,sep,oct,nov"]),
    st.one_of(st.just("*"), fields(0, 7), st.sampled_from(["mon-fri", "sat,sun", "*/2"])),
)
