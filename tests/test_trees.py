"""Prefix trees: what texts begin with stands once, and every text can be read back."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toetssteen.candidates.engines import trees
from toetssteen.candidates.engines.trees import Strand, Tree, batches, plan_trees, tree_of


@dataclass
class Limit:
    """A budget that a test can change."""

    tokens: int


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut where a text of a few tokens can show it."""
    monkeypatch.setattr(trees, "ROW", 12)
    monkeypatch.setattr(trees, "STEP", 4)
    monkeypatch.setattr(trees, "BRANCHES", 2)


def test_three_texts_as_one_tree_by_hand() -> None:
    """Texts 7 8 1 2, 7 8 1 3 and 7 9, in that order, planned in another.

        node     0   1   2   3   4   5
        token    7   8   1   2   3   9
        depth    0   1   2   3   3   1
        end      6   5   5   4   5   6

    Node 1 (the 8) is looked at by nodes 1 to 4, not by node 5 (the 9): its end is 5.
    """
    strands = [Strand((7, 9), 0), Strand((7, 8, 1, 3), 0), Strand((7, 8, 1, 2), 0)]
    assert plan_trees(strands) == [
        Tree(
            header=(),
            tokens=(7, 8, 1, 2, 3, 9),
            depths=(0, 1, 2, 3, 3, 1),
            ends=(6, 5, 5, 4, 5, 6),
            members=(2, 1, 0),
            paths=((0, 1, 2, 3), (0, 1, 2, 4), (0, 5)),
        )
    ]


def test_a_text_that_another_begins_with_ends_on_the_way() -> None:
    """7 8 is the beginning of 7 8 9: one chain of three, of which it is the first two."""
    tree = tree_of([Strand((7, 8, 9), 0), Strand((7, 8), 0)])
    assert tree.tokens == (7, 8, 9)
    assert tree.ends == (3, 3, 3)
    assert (tree.members, tree.paths) == ((1, 0), ((0, 1), (0, 1, 2)))


def test_a_header_stands_apart() -> None:
    """Behind the header 7 8 the nodes are counted from 0, the depths from 2."""
    tree = tree_of([Strand((7, 8, 1), 0), Strand((7, 8, 2, 3), 0)], header=2)
    assert tree.header == (7, 8)
    assert tree.tokens == (1, 2, 3)
    assert tree.depths == (2, 2, 3)
    assert tree.ends == (1, 3, 3)
    assert tree.paths == ((0,), (1, 2))


def test_many_questions_behind_one_instruction_have_a_header() -> None:
    """Nine shared tokens and five branches: the first eight, a multiple of four, stand apart.

    The ninth is inside each of them, also where that makes it part of what they share.
    """
    start = tuple(range(50, 59))
    planned = plan_trees([Strand((*start, k, *[k] * 9), 12) for k in range(5)])
    assert {tree.header for tree in planned} == {start[:8]}
    assert sum(map(len, planned)) == 5 * 11


@pytest.mark.parametrize("more", range(8))
def test_a_header_is_found_wherever_the_shared_part_ends(more: int) -> None:
    """Whether 16 tokens are shared or 17, up to 23: a header of at least 16 is one."""
    start = tuple(range(50, 66 + more))
    planned = plan_trees([Strand((*start, k, *[k] * 19), 30) for k in range(6)])
    assert {tree.header for tree in planned} == {start[: len(start) // 4 * 4]}


def test_what_is_read_is_not_in_a_header() -> None:
    """Where the prediction of the third token is read, it has to be computed: no header."""
    start = tuple(range(50, 62))
    planned = plan_trees([Strand((*start, k, *[k] * 9), 2) for k in range(5)])
    assert {tree.header for tree in planned} == {()}


def test_no_texts_make_no_trees() -> None:
    """Nothing asked, nothing computed."""
    assert plan_trees([]) == []
    assert list(batches([], Limit(10))) == []


def test_batches_are_about_equally_large() -> None:
    """Ten trees of three nodes and room for 24: five and five, not eight and two."""
    planned = [tree_of([Strand((k, k, k), 0)]) for k in range(10)]
    assert [len(batch) for batch in batches(planned, Limit(24))] == [5, 5]


def test_a_budget_that_shrinks_counts_from_the_next_batch() -> None:
    """Memory ran out at the first batch of four trees: the next have two."""
    planned = [tree_of([Strand((k, k, k), 0)]) for k in range(10)]
    limit = Limit(12)
    given_ = batches(planned, limit)
    assert len(next(given_)) == 4
    limit.tokens = 6
    assert [len(batch) for batch in given_] == [2, 2, 2]


@st.composite
def some_strands(draw: st.DrawFn) -> list[Strand]:
    """Texts of few different tokens, so that much begins alike; no two the same."""
    few = st.integers(0, 2)
    stems = draw(st.lists(st.lists(few, max_size=14), min_size=1, max_size=3))
    tails = st.lists(few, min_size=1, max_size=8)
    made = st.tuples(st.sampled_from(stems), tails).map(lambda both: (*both[0], *both[1]))
    texts = draw(st.lists(made, min_size=1, max_size=25, unique=True))
    return [Strand(text, draw(st.integers(0, len(text) - 1))) for text in texts]


@given(strands=some_strands())
def test_every_text_is_read_back_once(strands: list[Strand]) -> None:
    """Header and path spell the text; each text is a member of one tree; depths are positions."""
    planned = plan_trees(strands)
    assert sorted(m for tree in planned for m in tree.members) == list(range(len(strands)))
    for tree in planned:
        for member, path in zip(tree.members, tree.paths, strict=True):
            spelt = tree.header + tuple(tree.tokens[node] for node in path)
            assert spelt == strands[member].tokens
            assert [tree.depths[n] for n in path] == list(range(len(tree.header), len(spelt)))


@given(strands=some_strands())
def test_a_node_looks_at_itself_and_its_ancestors(strands: list[Strand]) -> None:
    """The one comparison that is the attention mask, held against the paths."""
    for tree in plan_trees(strands):
        seen = set()
        for path in tree.paths:
            for at, node in enumerate(path):
                looks = {k for k in range(len(tree)) if k <= node < tree.ends[k]}
                assert looks == set(path[: at + 1])
                seen.add(node)
        assert seen == set(range(len(tree)))  # no node is nobody's


@given(strands=some_strands())
def test_nothing_stands_twice_within_a_tree(strands: list[Strand]) -> None:
    """No two children of one node hold the same token."""
    for tree in plan_trees(strands):
        parents = {
            node: path[at - 1] if at else None
            for path in tree.paths
            for at, node in enumerate(path)
        }
        children = [(parents[node], tree.tokens[node]) for node in range(len(tree))]
        assert len(set(children)) == len(children)


@given(strands=some_strands())
def test_no_more_is_computed_than_asked_and_nothing_read_is_in_a_header(
    strands: list[Strand],
) -> None:
    """Headers count once; a header ends before the first token that any member reads."""
    planned = plan_trees(strands)
    headers = {tree.header for tree in planned}
    computed = sum(map(len, planned)) + sum(map(len, headers))
    assert computed <= sum(len(strand.tokens) for strand in strands)
    for tree in planned:
        assert len(tree.header) % trees.STEP == 0
        for member in tree.members:
            assert len(tree.header) <= strands[member].read_from


@given(strands=some_strands())
def test_rows_are_not_too_wide(strands: list[Strand]) -> None:
    """A tree of several texts is at most ROW wide, or twice its longest text."""
    for tree in plan_trees(strands):
        longest = max(map(len, tree.paths))
        assert len(tree) <= max(trees.ROW, 2 * longest)


@given(strands=some_strands(), tokens=st.integers(1, 60))
def test_batches_keep_the_budget_and_lose_nothing(strands: list[Strand], tokens: int) -> None:
    """One header a batch; more nodes than the budget only where a tree comes alone."""
    planned = plan_trees(strands)
    cut = list(batches(planned, Limit(tokens)))
    for batch in cut:
        assert len({tree.header for tree in batch}) == 1
        assert len(batch) == 1 or sum(map(len, batch)) <= tokens
    assert sorted(m for batch in cut for tree in batch for m in tree.members) == list(
        range(len(strands))
    )


@given(strands=some_strands(), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_asking_changes_no_tree(strands: list[Strand], shuffle: object) -> None:
    """The same rows for the same texts: a run that is resumed computes what it would have."""

    def shapes(some: list[Strand]) -> set[object]:
        return {
            (t.header, t.tokens, t.depths, t.ends, t.paths, tuple(some[m] for m in t.members))
            for t in plan_trees(some)
        }

    mixed = list(strands)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    assert shapes(mixed) == shapes(strands)
