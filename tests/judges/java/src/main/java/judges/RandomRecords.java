package judges;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.LogicalType;
import org.apache.avro.LogicalTypes;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;

/**
 * Random values of any schema. Timestamps lie on 2026-01-01 and the four days after it, so that a reader of hourly
 * partitions finds a place for them; every other number is any.
 */
final class RandomRecords {
  private static final long FIRST_MILLIS = 1_767_225_600_000L;
  private static final int SPAN_MILLIS = 5 * 24 * 3_600_000;
  /** Deeper values of a recursive schema end as soon as the schema lets them. */
  private static final int DEEP = 4;

  private final Random random;

  RandomRecords(long seed) {
    random = new Random(seed);
  }

  Object of(Schema schema) {
    return of(schema, 0);
  }

  private Object of(Schema schema, int depth) {
    return switch (schema.getType()) {
      case NULL -> null;
      case BOOLEAN -> random.nextBoolean();
      case INT -> random.nextInt();
      case LONG -> longOf(schema.getLogicalType());
      case FLOAT -> (float) random.nextGaussian();
      case DOUBLE -> random.nextGaussian();
      case STRING -> text();
      case BYTES -> ByteBuffer.wrap(bytes(random.nextInt(20)));
      case FIXED -> new GenericData.Fixed(schema, bytes(schema.getFixedSize()));
      case ENUM -> new GenericData.EnumSymbol(schema, pick(schema.getEnumSymbols()));
      case ARRAY -> items(schema.getElementType(), depth);
      case MAP -> entries(schema.getValueType(), depth);
      case UNION -> of(branch(schema.getTypes(), depth), depth);
      case RECORD -> record(schema, depth);
    };
  }

  private GenericData.Record record(Schema schema, int depth) {
    GenericData.Record record = new GenericData.Record(schema);
    schema.getFields().forEach(field -> record.put(field.pos(), of(field.schema(), depth + 1)));
    return record;
  }

  private List<Object> items(Schema schema, int depth) {
    List<Object> items = new ArrayList<>();
    for (int left = length(depth); left > 0; left--) {
      items.add(of(schema, depth + 1));
    }
    return items;
  }

  private Map<String, Object> entries(Schema schema, int depth) {
    Map<String, Object> entries = new LinkedHashMap<>();
    for (int left = length(depth); left > 0; left--) {
      entries.put(text(), of(schema, depth + 1));
    }
    return entries;
  }

  private Schema branch(List<Schema> branches, int depth) {
    Schema first = branches.get(0);
    return depth >= DEEP && first.getType() == Schema.Type.NULL ? first : pick(branches);
  }

  private long longOf(LogicalType logical) {
    long millis = FIRST_MILLIS + random.nextInt(SPAN_MILLIS);
    if (logical instanceof LogicalTypes.TimestampMillis || logical instanceof LogicalTypes.LocalTimestampMillis) {
      return millis;
    } else if (logical instanceof LogicalTypes.TimestampMicros || logical instanceof LogicalTypes.LocalTimestampMicros) {
      return millis * 1000 + random.nextInt(1000);
    } else if (logical instanceof LogicalTypes.TimestampNanos || logical instanceof LogicalTypes.LocalTimestampNanos) {
      return millis * 1_000_000 + random.nextInt(1_000_000);
    }
    return random.nextLong();
  }

  private String text() {
    StringBuilder text = new StringBuilder();
    for (int left = random.nextInt(12); left > 0; left--) {
      text.appendCodePoint(random.nextInt(8) == 0 ? 0x1F600 + random.nextInt(64) : 'a' + random.nextInt(26));
    }
    return text.toString();
  }

  private byte[] bytes(int length) {
    byte[] bytes = new byte[length];
    random.nextBytes(bytes);
    return bytes;
  }

  private int length(int depth) {
    return depth >= DEEP ? 0 : random.nextInt(6);
  }

  private <T> T pick(List<T> from) {
    return from.get(random.nextInt(from.size()));
  }
}
