package judges;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.Encoder;
import org.apache.avro.io.EncoderFactory;

/**
 * Encodes random records of a schema as a Java producer with Confluent's serializer would: byte 0, the schema's id (4
 * bytes, big-endian), the datum. One line of base64 per message, to be decoded and produced to Kafka.
 *
 * <pre>EncodeMessages SCHEMA_FILE SCHEMA_ID COUNT [--blocking] [--seed N] [--records]</pre>
 *
 * <p>--blocking uses Avro's blocking encoder, which writes arrays and maps as blocks with negative counts and byte
 * sizes. The same seed (1 by default) gives the same records, blocking or not. With --records each line is {"message":
 * base64, "record": ...} instead, the record as ReadFiles would print it.
 */
public final class EncodeMessages {
  private EncodeMessages() {}

  public static void main(String[] given) throws IOException {
    List<String> arguments = new ArrayList<>(List.of(given));
    boolean blocking = arguments.remove("--blocking");
    boolean withRecords = arguments.remove("--records");
    long seed = takeSeed(arguments);
    if (arguments.size() != 3) {
      System.err.println("EncodeMessages SCHEMA_FILE SCHEMA_ID COUNT [--blocking] [--seed N] [--records]");
      System.exit(2);
    }
    Schema schema = new Schema.Parser().parse(Files.readString(Path.of(arguments.get(0))));
    int id = Integer.parseInt(arguments.get(1));
    int count = Integer.parseInt(arguments.get(2));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    RandomRecords records = new RandomRecords(seed);
    for (int n = 0; n < count; n++) {
      Object record = records.of(schema);
      String message = Base64.getEncoder().encodeToString(encode(schema, id, record, blocking));
      out.println(withRecords ? line(message, record) : message);
    }
    out.flush();
  }

  private static long takeSeed(List<String> arguments) {
    int at = arguments.indexOf("--seed");
    if (at < 0) {
      return 1;
    }
    arguments.remove(at);
    return Long.parseLong(arguments.remove(at));
  }

  private static byte[] encode(Schema schema, int id, Object record, boolean blocking) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream header = new DataOutputStream(bytes);
    header.writeByte(0);
    header.writeInt(id);
    EncoderFactory factory = EncoderFactory.get();
    BinaryEncoder encoder =
        blocking ? factory.blockingBinaryEncoder(bytes, null) : factory.binaryEncoder(bytes, null);
    new GenericDatumWriter<Object>(schema).write(record, (Encoder) encoder);
    encoder.flush();
    return bytes.toByteArray();
  }

  private static String line(String message, Object record) throws IOException {
    ObjectNode line = JsonNodeFactory.instance.objectNode().put("message", message);
    line.set("record", PlainJson.of(record));
    return new ObjectMapper().writeValueAsString(line);
  }
}
