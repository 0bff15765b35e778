/* trajlog check --h5md FILE: each rule of the H5MD specification, held or broken. */
#include <stdio.h>

#include "tool.h"
#include "trajlog.h"

/* What the rules came to. */
struct tally {
    int held, broken, idle;
};

static void print_rule(const trajlog_h5md_rule *rule, void *context)
{
    struct tally *tally = context;
    const char *verdict = "held";
    if (rule->broken > 0) {
        tally->broken++;
        verdict = "BROKEN";
    } else if (rule->held > 0) {
        tally->held++;
    } else {
        tally->idle++;
        verdict = "-";
    }
    printf("%-6s  %-29s  %s\n", verdict, rule->name, rule->text);
    if (rule->broken > 0) printf("        %s%s\n", rule->detail, rule->broken > 3 ? "; and elsewhere" : "");
}

int check_h5md(const char *path, const char *root)
{
    struct tally tally = {0};
    trajlog_status status = trajlog_check_h5md(path, root, print_rule, &tally);
    if (status != TRAJLOG_OK) return tool_failed("trajlog check", status);
    printf("%d rules held, %d broken, %d with nothing to apply to\n", tally.held, tally.broken, tally.idle);
    return tool_end("trajlog check", tally.broken == 0 ? EXIT_GOOD : EXIT_TROUBLE);
}
