// SPDX-License-Identifier: Apache-2.0
// Kafka's own commands in one process, as starting Java for each takes seconds. A line of standard input is CLASS ARGUMENT ...,
// with "<<< LINE|LINE" for what the command reads; after its output comes a line of its own, "exit <code>".
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

public class Tools {
    static class Ended extends Error {
        final int code;

        Ended(int code) {
            this.code = code;
        }
    }

    static int run(String[] words) throws Exception {
        var main = Class.forName(words[0]).getMethod("main", String[].class);
        int[] first = {-1}; // some catch what they exit with, and exit once more
        Exit.setExitProcedure((code, message) -> {
            if (first[0] < 0)
                first[0] = code;
            throw new Ended(code);
        });
        try {
            main.invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Ended))
                throw e;
        }
        return Math.max(first[0], 0);
    }

    public static void main(String[] args) throws Exception {
        var lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            var parts = line.split(" <<< ");
            System.setIn(new ByteArrayInputStream((parts.length > 1 ? parts[1].replace('|', '\n') + "\n" : "").getBytes()));
            System.out.println("\nexit " + run(parts[0].split(" ")));
        }
        Runtime.getRuntime().halt(0);
    }
}
