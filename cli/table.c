#include "cli/table.h"
#include "base/check.h"
#include "base/own.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *cell_of(const json_t *row, size_t column) {
    const char *s = json_string_value(json_array_get(row, column));
    return s && *s ? s : "-";
}

static void widen(int *width, const char *s) {
    int len = (int)strlen(s);
    *width = len > *width ? len : *width;
}

// What a pod says of itself may not steer a terminal.
static void print_cell(const char *said, int width, bool right, bool last) {
    auto_free char *s = xstrdup(said);
    for (char *c = s; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    if (right)
        printf("%*s", width, s);
    else
        printf("%-*s", last ? 0 : width, s);
    printf("%s", last ? "\n" : "  ");
}

void table_print(const char *const *heads, const json_t *rows) {
    size_t columns = 0, i;
    json_t *row;
    while (heads[columns])
        columns++;
    int *widths = xcalloc(columns, sizeof(int));
    for (size_t c = 0; c < columns; c++) {
        widen(&widths[c], heads[c] + (*heads[c] == '>'));
        json_array_foreach((json_t *)rows, i, row) widen(&widths[c], cell_of(row, c));
    }
    for (size_t c = 0; c < columns; c++)
        print_cell(heads[c] + (*heads[c] == '>'), widths[c], *heads[c] == '>', c + 1 == columns);
    json_array_foreach((json_t *)rows, i, row) {
        for (size_t c = 0; c < columns; c++)
            print_cell(cell_of(row, c), widths[c], *heads[c] == '>', c + 1 == columns);
    }
    free(widths);
}
