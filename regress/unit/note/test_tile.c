/* test_tile.c - where a mirror has what (C2SP tlog-tiles): paths, both ways, and how wide a tile is. */
#include "../unit.h"

#include "engine/note_tile.h"

static void path_is(const struct tile *t, const char *want)
{
    char mem[TILE_PATH_MAX];
    struct tile again;
    struct wr w = wr_fixed(mem, sizeof mem);
    tile_path_format(t, &w);
    assert_false(w.bad);
    assert_int_equal(w.len, strlen(want));
    assert_memory_equal(mem, want, w.len);
    assert_int_equal(tile_path_parse(&again, slice_str(want)), REEVE_OK);
    assert_true(again.entries == t->entries && again.level == t->level && again.n == t->n && again.width == t->width);
}

static void paths_are_those_of_the_specification(void **state)
{
    path_is(&(struct tile){ .level = 0, .n = 0, .width = 256 }, "tile/0/000");
    path_is(&(struct tile){ .level = 1, .n = 999, .width = 256 }, "tile/1/999");
    path_is(&(struct tile){ .level = 0, .n = 1234067, .width = 256 }, "tile/0/x001/x234/067");
    path_is(&(struct tile){ .level = 0, .n = 1000, .width = 8 }, "tile/0/x001/000.p/8");
    path_is(&(struct tile){ .level = 7, .n = 5, .width = 255 }, "tile/7/005.p/255");
    path_is(&(struct tile){ .entries = true, .n = 273, .width = 112 }, "tile/entries/273.p/112");
    path_is(&(struct tile){ .entries = true, .n = UINT64_MAX / 256, .width = 1 }, "tile/entries/x072/x057/x594/x037/x927/935.p/1");
}

static void other_paths_are_refused(void **state)
{
    static const char *const bad[] = {
        "", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/01/000", "tile/8/000",
        "tile/-1/000", "tile/0/000/", "tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256",
        "tile/0/000.p/1/", "tile/0/x000/001", "tile/0/x000/x001/001", "tile/0/x1/001", "tile/0/x001", "tile/0/x001/", "tile/0/001/002",
        "tile/0/x001/x002", "tile/0/ 01", "tile/0/+01", "tile/entry/000", "tile/entries0/000", "/tile/0/000", "tile//000", "tile/0/000.q/1",
        "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/0/000.p/1.p/1",
    };
    struct tile t;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (tile_path_parse(&t, slice_str(bad[i])) == REEVE_OK)
            fail_msg("taken: %s", bad[i]);
}

/* The dumb twin counts nodes: a node of level l is one of 256^l leaves. */
static uint16_t width_twin(uint64_t size, unsigned level, uint64_t n)
{
    uint64_t nodes = size;
    uint16_t width = 0;
    for (unsigned l = 0; l < level; l++)
        nodes /= 256;
    for (uint64_t i = 0; i < 256; i++)
        width = (uint16_t) (width + (n * 256 + i < nodes));
    return width;
}

static void a_tile_is_as_wide_as_the_log_is_long(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 255, 256, 257, 511, 512, 65535, 65536, 65537, 70000, 16777216, 16777217 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint8_t level = 0; level <= 3; level++)
            for (uint64_t n = 0; n < 300; n++)
                assert_int_equal(tile_width(sizes[s], level, n), width_twin(sizes[s], level, n));
    assert_int_equal(tile_width(UINT64_MAX, 0, UINT64_MAX / 256), 255);
    assert_int_equal(tile_width(UINT64_MAX, 0, UINT64_MAX / 256 + 1), 0);
    assert_int_equal(tile_width(UINT64_MAX, 7, 0), 255);
    assert_int_equal(tile_width(UINT64_MAX, 8, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_those_of_the_specification), cmocka_unit_test(other_paths_are_refused),
        cmocka_unit_test(a_tile_is_as_wide_as_the_log_is_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
