package nightjar;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/** Adds a check to each session that rejects all commands except read-only ones. */
public final class ReadOnly extends AbstractFunction1 {
  private static final Set READ_ONLY = new HashSet(Arrays.asList(new Object[] {
    "DescribeColumn", "DescribeDeltaDetailCommand", "DescribeDeltaHistoryCommand", "DescribeFunction",
    "DescribeFunctionCommand", "DescribeNamespace", "DescribeQueryCommand", "DescribeRelation",
    "DescribeTableCommand", "ExplainCommand", "SetCatalogAndNamespace", "SetCommand", "SetNamespaceCommand",
    "ShowCatalogsCommand", "ShowColumns", "ShowColumnsCommand", "ShowCurrentNamespaceCommand",
    "ShowDeltaPartitionsCommand", "ShowDeltaTableColumnsCommand", "ShowFunctionsCommand", "ShowNamespaces",
    "ShowNamespacesCommand", "ShowTableExtended", "ShowTableProperties", "ShowTables", "ShowTablesCommand",
    "ShowViewsCommand"
  }));

  public Object apply(Object session) {
    return new Check();
  }

  public static final class Check extends AbstractFunction1 {
    public Object apply(Object plan) {
      String name = plan.getClass().getSimpleName();
      if (plan instanceof Command && !READ_ONLY.contains(name)) {
        throw new UnsupportedOperationException("this server is read-only and rejects " + name);
      }
      return BoxedUnit.UNIT;
    }
  }
}
