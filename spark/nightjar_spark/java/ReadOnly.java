package nightjar;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/** Gives each session a check that refuses every command but those that only tell something. */
public final class ReadOnly extends AbstractFunction1 {
  private static final Set TELLING = new HashSet(Arrays.asList(new Object[] {
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
      if (plan instanceof Command && !TELLING.contains(name)) {
        throw new UnsupportedOperationException("this server only reads, and refuses " + name);
      }
      return BoxedUnit.UNIT;
    }
  }
}
