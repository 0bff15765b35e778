/* Recovers files as after a power loss: reads paths from standard input, one per line, and answers each with a line:
 * the number of the finding (enum journal_finding), or "error" and a message. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/journal.h"

int main(void)
{
    char path[4096];
    while (fgets(path, sizeof path, stdin) != NULL) {
        struct error error = {0};
        enum journal_finding finding = JOURNAL_NONE;
        path[strcspn(path, "\n")] = '\0';
        int file = open(path, O_RDWR | O_CLOEXEC);
        if (file < 0) {
            printf("error cannot open\n");
        } else if (journal_recover(&driver_io_system, path, file, true, &finding, &error) == TRAJLOG_OK) {
            printf("%d\n", (int)finding);
        } else {
            printf("error %s\n", error.message);
        }
        if (file >= 0) close(file);
        fflush(stdout);
    }
    return 0;
}
